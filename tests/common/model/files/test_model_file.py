"""Model files of strangers: what unpacks to more than a network has is refused before it is unpacked."""

import json
import zipfile

import pytest
from support.pose_net import CARD, pose_net

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import MOST_UNPACKED, load_model, read_card, save_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18


@pytest.mark.parametrize("member", ["bodyposenet.json", "config.json"])
def test_a_member_that_unpacks_to_more_than_a_network_has_is_refused(tmp_path, member):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bodyposenet.json", "config.json", "model.weights.h5"):
            text = json.dumps(Card(BODYPOSENET_18).to_dict()) if name == "bodyposenet.json" else "{}"
            archive.writestr(name, text + " " * MOST_UNPACKED[member] if name == member else text)
    assert path.stat().st_size < 2**20
    for read in (read_card, load_model):
        with pytest.raises(UserError, match=rf"bomb\.keras: {member} in it unpacks to [\d,]+ bytes, more than that of"):
            read(path)


def enlarge(image):
    import keras

    large = keras.layers.UpSampling2D(64, name="large")(image)
    return keras.layers.MaxPooling2D(64)(large)


def nest(image):
    import keras

    inside = keras.Input((None, None, 3))
    return keras.Model(inside, enlarge(inside), name="inner")(image)


def follow(image):
    import keras

    return keras.Sequential([keras.layers.UpSampling2D(64, name="large"), keras.layers.MaxPooling2D(64)])(image)


def wrap(image):
    import keras

    inside = keras.Input((None, None, 3))
    pictures = keras.layers.Reshape((1, 256, 256, 3))(image)
    return keras.layers.TimeDistributed(keras.Model(inside, enlarge(inside)), name="each")(pictures)[:, 0]


def look_up(layer, ahead=()):
    """Every pixel of a picture in every other, for a map of as many scores that no shape tells."""

    def make(image):
        import keras

        pixels = keras.layers.Reshape((256 * 256, *ahead, 3))(image)
        return keras.layers.Reshape((256, 256, 3))(layer(keras)(pixels))

    return make


def separate(image):
    import keras

    wide = keras.layers.Conv2D(16, 1)(image)
    return keras.layers.SeparableConv2D(3, 1, depth_multiplier=256, name="large")(wide)


def transpose(image):
    import keras

    return keras.layers.Conv2DTranspose(3, 129, padding="same", name="large")(image)


ATTEND = look_up(lambda keras: lambda each: keras.layers.Attention(name="large")([each, each]))
ADD = look_up(lambda keras: lambda each: keras.layers.AdditiveAttention(name="large")([each, each]))
HEADS = look_up(lambda keras: lambda each: keras.layers.MultiHeadAttention(2, 3, name="large")(each, each))
DOT = look_up(lambda keras: lambda each: keras.ops.dot_product_attention(each, each, each), (1,))
MANY = r"large makes 805,306,368 numbers of a picture of 256 x 256 pixels"


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        (enlarge, MANY),
        (nest, MANY),
        (follow, MANY),
        (wrap, "'each' holds layers of its own"),
        (ATTEND, "large makes 4,294,967,296 numbers of a picture of 256 x 256 pixels"),
        (ADD, "large makes 12,884,901,888 numbers of a picture of 256 x 256 pixels"),
        (HEADS, "'large' holds layers of its own"),
        (DOT, "makes 4,294,967,296 numbers of a picture of 256 x 256 pixels"),
        (transpose, "large makes 3,271,753,728 numbers of a picture of 256 x 256 pixels"),
        (separate, "large makes 268,435,456 numbers of a picture of 256 x 256 pixels"),
    ],
)
def test_a_network_whose_maps_fill_the_memory_on_the_way_is_refused_before_it_is_run(tmp_path, hide, told):
    import keras

    image = keras.Input((None, None, 3))
    save_model(keras.Model(image, pose_net(stages=1, width=2)(hide(image))), tmp_path / "net.keras", CARD)
    with pytest.raises(UserError, match=rf"net\.keras: .*{told}; give a file that `bpnet train`"):
        load_model(tmp_path / "net.keras")


def test_layers_that_have_more_weights_than_the_file_are_refused_before_these_are_made(tmp_path):
    """Of pixels in a row no configuration tells how many there are: 18,432 by 8,000 units are 590 MB."""
    import keras

    image = keras.Input((64, 96, 3))
    units = keras.layers.Dense(2, name="narrow")(keras.layers.Flatten()(image))
    small = keras.layers.Reshape((16, 16, 3))(keras.layers.Dense(768)(units))
    picture = keras.layers.UpSampling2D((4, 6))(small)
    save_model(keras.Model(image, pose_net(stages=1, width=2)(picture)), tmp_path / "net.keras", CARD)
    kept = load_model(tmp_path / "net.keras")[0].get_weights()
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = (
        members["config.json"].replace(b'"units": 2,', b'"units": 8000,').replace(b"[null, 2]", b"[null, 8000]")
    )
    with zipfile.ZipFile(tmp_path / "wide.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"its layers have 153,[\d,]+ weights, of which the file holds [\d,]+; give"):
        load_model(tmp_path / "wide.keras")
    again = load_model(tmp_path / "net.keras")[0].get_weights()
    assert all((one == other).all() for one, other in zip(kept, again, strict=True))


def test_a_network_of_pictures_of_one_size_is_judged_by_that(tmp_path):
    import keras

    for side, sound in ((32, True), (4096, False)):
        image = keras.Input((side, side, 3))
        save_model(keras.Model(image, pose_net(stages=1, width=2)(enlarge(image))), tmp_path / "net.keras", CARD)
        if sound:
            assert load_model(tmp_path / "net.keras")[1] == CARD
            continue
        with pytest.raises(UserError, match=r"large makes [\d,]+ numbers"):
            load_model(tmp_path / "net.keras")
