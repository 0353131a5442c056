"""Networks that begin as one of another skeleton, or of other widths: what they keep, and what begins anew."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.tiny_training import POSE, SMALL, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.criteria import filter_norms
from bodyposenet.common.model.channels.rebuild import rebuild
from bodyposenet.common.model.channels.tracing import read_graph
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.train import make_card, train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18 as OLD
from bodyposenet.common.skeleton.skeleton import make_skeleton
from bodyposenet.common.skeleton.skeleton_match import NEW, match_skeletons
from bodyposenet.common.spec.prune import PruneSpec

L = keras.layers
LITE = {"stages": 3}
LIGHTWEIGHT = {
    "__class_name__": "LightweightOpenPoseModel",
    "stages": 3,
    "backbone_attributes": {"architecture": "mobilenet_v1", "width_multiplier": 0.125},
}
IMAGE = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)


def write(path, form, skeleton=OLD, seed=3):
    """A network in a file, every weight of it at random."""
    keras.utils.set_random_seed(seed)
    model = build_model(tiny_spec(model=form).model, skeleton)
    rng = np.random.default_rng(seed)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape) for value in model.get_weights()])
    save_model(model, path, make_card(tiny_spec(model=form), skeleton))
    return path


def rename(source, path):
    """The same network, in which only the last maps are named as here."""
    model, card = load_model(source)
    names = {each.name: f"op_{n}" for n, each in enumerate(model.layers) if each.name not in ("heatmap_out", "paf_out")}
    foreign = keras.models.clone_model(
        model, clone_function=lambda each: type(each).from_config(
            each.get_config() | {"name": names.get(each.name, each.name)}
        ),
    )  # fmt: skip
    foreign.set_weights(model.get_weights())
    save_model(foreign, path, card)
    return path


@pytest.fixture(scope="module", params=["lite", "lightweight", "pruned graph", "other names"])
def given(request, tmp_path_factory):
    """A file, and a spec that starts from it: built from the spec, as pruning left it, or by places in the graph."""
    folder = tmp_path_factory.mktemp("given")
    form = LIGHTWEIGHT if request.param == "lightweight" else LITE
    path = write(folder / "model.keras", form)
    if request.param == "pruned graph":
        prune_file(path, folder / "pruned.keras", PruneSpec(pruning_threshold=0.9, min_num_filters=8))
        path = folder / "pruned.keras"
    if request.param == "other names":
        path = rename(path, folder / "foreign.keras")
    return path, tiny_spec(pretrained_weights=str(path), load_graph=request.param == "pruned graph", model=form)


def shuffle(skeleton):
    """The same joints and limbs in another order, every third limb the other way round."""
    rng = np.random.default_rng(5)
    order, limbs = rng.permutation(skeleton.num_joints), rng.permutation(skeleton.num_limbs)
    place = {int(joint): number for number, joint in enumerate(order)}
    ends = [tuple(place[joint] for joint in skeleton.limbs[limb]) for limb in limbs]
    ends = [pair[::-1] if number % 3 == 0 else pair for number, pair in enumerate(ends)]
    return make_skeleton("shuffled", [skeleton.joints[joint] for joint in order], ends)


def hold_maps(old, new, skeleton, stages):
    """Hold the kept channels of these stages' maps against those of the old network, in the new one's order."""
    match = match_skeletons(OLD, skeleton)
    count = len(old) // 2
    for stage in stages:
        for place, origin in ((stage, match.heatmaps), (count + stage, match.fields)):
            kept = origin.places != NEW
            wanted = old[place].numpy()[..., origin.places[kept]] * origin.signs[kept]
            np.testing.assert_allclose(new[place].numpy()[..., kept], wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())


def test_with_joints_and_limbs_in_another_order_every_stage_draws_the_same_channels(given, caplog):
    path, spec = given
    skeleton = shuffle(OLD)
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, skeleton)
    hold_maps(load_model(path)[0](IMAGE), model(IMAGE), skeleton, range(3))
    assert (
        f"{path}: keeps 18 of 18 joints and 19 of 19 limbs of skeleton 'bpnet_18_joints' (7 of them turned round)"
        in caplog.text
    )


def test_with_fewer_joints_the_first_stage_draws_those_that_are_left_as_before(given):
    path, spec = given
    skeleton = make_skeleton("arms", ("left_wrist", "left_elbow", "left_shoulder", "nose"), ((2, 1), (0, 1), (2, 3)))
    model = starting_network(spec, skeleton)
    assert [output.shape[-1] for output in model.outputs] == [5] * 3 + [6] * 3
    hold_maps(load_model(path)[0](IMAGE), model(IMAGE), skeleton, [0])


def test_with_more_joints_every_stage_draws_those_of_before_as_before(given):
    path, spec = given
    joints = (*OLD.joints[:9], "tail", *OLD.joints[9:], "hat")
    place = [joints.index(name) for name in OLD.joints]
    limbs = [(place[start], place[end]) for start, end in OLD.limbs]
    skeleton = make_skeleton("creature", joints, [(9, 1), *limbs, (0, 19)])
    old, new = load_model(path)[0](IMAGE), starting_network(spec, skeleton)(IMAGE)
    hold_maps(old, new, skeleton, range(3))
    for stage in range(3):
        tail = new[stage].numpy()[..., 9]
        assert abs(tail - old[stage].numpy()[..., 0]).max() > 0  # a channel of its own, not the copy of another


def test_new_channels_begin_as_the_layers_initializers_say_and_nothing_reads_them(tmp_path):
    spec = tiny_spec(pretrained_weights=str(write(tmp_path / "model.keras", LITE)), model=LITE)
    joints = (*OLD.joints, *(f"extra_{n}" for n in range(40)))
    model = starting_network(spec, make_skeleton("more", joints, OLD.limbs))
    drawing, reading = model.get_layer("stage1_heat_branch_out"), model.get_layer("stage2_conv1")
    kernel, bias = drawing.get_weights()
    assert 0.008 < kernel[..., 18:58].std() < 0.012  # N(0, 0.01)
    assert (bias[18:58] == 0).all()
    assert (bias[:18] > 0).all()
    features = model.get_layer("channel_reduction_conv").filters
    read = np.abs(reading.get_weights()[0]).sum(axis=(0, 1, 3))
    assert (read[features + 18 : features + 58] == 0).all()
    assert (np.delete(read, np.s_[features + 18 : features + 58]) > 0).all()


@pytest.mark.slow
def test_a_training_from_another_skeleton_runs_and_its_card_names_the_new_one(given, tmp_path):
    path, spec = given
    places = [0, 5, 6, 7, 1]
    joints = (*(OLD.joints[place] for place in places), "tail")
    body = {"name": "body", "num_joints": 6, "keypoints": joints, "skeleton": [[1, 5], [2, 3], [3, 4], [5, 6]]}

    class Few(Dots):
        def sample(self, index, epoch):
            whole = super().sample(index, epoch)
            few = np.concatenate([whole.joints[:, places], whole.joints[:, :1]], axis=1)
            return replace(whole, joints=few, visible=np.ones((1, 6), bool))

    loader = spec.dataloader.model_dump(by_alias=True)
    loader["pose_config"] = {
        "target_shape": [8, 8],
        "pose_config": {"pose_config_type": "mine", "categories": [body], "computed": {}},
    }
    form = spec.model.model_dump(by_alias=True, exclude_none=True) | {"heat_channels": 7, "paf_channels": 8}
    told = {"pretrained_weights": str(path), "load_graph": spec.load_graph, "dataloader": loader, "num_epoch": 1}
    new = tiny_spec(model=form, **told)
    done = train(new, tmp_path / "out", source=Few(4))
    model, card = load_model(done.model)
    assert card.skeleton.joints == joints
    assert [output.shape[-1] for output in model.outputs] == [7] * 3 + [8] * 3
    assert np.isfinite(done.history[0]["loss"])


def test_fields_that_something_else_than_convolutions_reads_begin_anew_where_limbs_are_turned(tmp_path, caplog):
    picture = keras.Input((None, None, 3), name="input_1")
    x = L.AveragePooling2D(8)(picture)
    heat, paf = L.Conv2D(19, 1, name="h1")(x), L.Conv2D(38, 1, name="p1")(x)
    joined = L.Concatenate()([x, heat, L.Activation("relu")(paf)])
    last = [L.Conv2D(count, 1, name=name)(joined) for count, name in ((19, "heatmap_out"), (38, "paf_out"))]
    save_model(keras.Model(picture, [heat, last[0], paf, last[1]]), tmp_path / "odd.keras",
               make_card(tiny_spec(), OLD))  # fmt: skip
    spec = tiny_spec(pretrained_weights=str(tmp_path / "odd.keras"), load_graph=True)
    with caplog.at_level(logging.INFO):
        starting_network(spec, shuffle(OLD))
    assert "keeps 18 of 18 joints and 12 of 19 limbs" in caplog.text


@pytest.mark.parametrize("load_graph", [True, False])
def test_maps_that_are_no_convolutions_cannot_be_changed_and_are_named(tmp_path, load_graph):
    picture = keras.Input((None, None, 3), name="input_1")
    x = L.AveragePooling2D(8)(picture)
    heat = L.Concatenate(name="heatmap_out")([L.Conv2D(18, 1, name="a")(x), L.Conv2D(1, 1, name="b")(x)])
    model = keras.Model(picture, [heat, L.Conv2D(38, 1, name="paf_out")(x)])
    save_model(model, tmp_path / "odd.keras", make_card(tiny_spec(), OLD))
    spec = tiny_spec(pretrained_weights=str(tmp_path / "odd.keras"), load_graph=load_graph, model={"stages": 1})
    with pytest.raises(UserError, match=r"cannot be changed to 'shuffled': its maps are no convolution's.*: a, b"):
        starting_network(spec, shuffle(OLD))


# Widths

WIDE = {"stages": 2, "backbone_attributes": SMALL | {"width_multiplier": 0.25}}
NARROW = {"stages": 2}


def readers(model, name):
    """The depthwise convolutions that read what a layer makes: they have a say in its filters."""
    layers, to_do = [], [model.get_layer(name)]
    while to_do:
        for node in to_do.pop()._outbound_nodes:
            if isinstance(node.operation, L.DepthwiseConv2D):
                layers.append(node.operation.name)
            elif not isinstance(node.operation, (L.Conv2D, L.Concatenate)):
                to_do.append(node.operation)
    return layers


@pytest.mark.parametrize("form", [{}, {"__class_name__": "LightweightOpenPoseModel"}])
@pytest.mark.parametrize("renamed", [False, True])
def test_wider_weights_are_cut_to_the_specs_widths_as_pruning_by_hand_does(form, renamed, tmp_path):
    source = write(tmp_path / "wide.keras", WIDE | form)
    path = rename(source, tmp_path / "foreign.keras") if renamed else source
    spec = tiny_spec(pretrained_weights=str(path), model=NARROW | form, fit_width="prune")
    model = starting_network(spec, OLD)
    wide = load_model(source)[0]
    graph = read_graph(wide)
    kept = {}
    for (first, *others), _ in graph.groups():
        norms = [filter_norms(wide.get_layer(name)) for name in (first, *others, *readers(wide, first))]
        norms = np.max([each / each.max() for each in norms], axis=0)
        strongest = np.sort(np.argsort(-norms)[: model.get_layer(first).filters])
        kept.update(dict.fromkeys((first, *others), strongest))
    by_hand = rebuild(wide, graph, kept)
    assert by_hand.count_params() == model.count_params() < wide.count_params()
    for ours, wanted in zip(model(IMAGE), by_hand(IMAGE), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_wider_weights_of_another_skeleton_are_cut_too(tmp_path):
    path = write(tmp_path / "wide.keras", WIDE)
    skeleton = shuffle(OLD)
    spec = tiny_spec(pretrained_weights=str(path), model=NARROW, fit_width="prune")
    hold_maps(starting_network(spec, OLD)(IMAGE), starting_network(spec, skeleton)(IMAGE), skeleton, range(2))


@pytest.mark.parametrize(("file", "spec", "fix"), [(WIDE, NARROW, True), (NARROW, WIDE, False)])
def test_weights_of_other_widths_are_refused_with_both_numbers(file, spec, fix, tmp_path):
    path = write(tmp_path / "model.keras", file)
    wanted, found = (8, 16) if fix else (16, 8)
    with pytest.raises(UserError) as refused:
        starting_network(tiny_spec(pretrained_weights=str(path), model=spec), OLD)
    assert f"has {found} filters in the file, {wanted} in the spec's network, and " in str(refused.value)
    assert ("fit_width: prune" in refused.value.fix) == fix
    assert f"width_multiplier: {found / 64}" in refused.value.fix


def test_narrower_weights_cannot_be_cut_and_both_numbers_are_told(tmp_path):
    path = write(tmp_path / "narrow.keras", NARROW)
    spec = tiny_spec(pretrained_weights=str(path), model=WIDE, fit_width="prune")
    with pytest.raises(UserError, match=r"narrow\.keras: .*: has 8 filters, which cannot be cut to 16; set model\."):
        starting_network(spec, OLD)


def test_a_network_of_other_layers_cannot_be_cut_to_the_specs(tmp_path):
    path = write(tmp_path / "wide.keras", WIDE)
    spec = tiny_spec(pretrained_weights=str(path), model=NARROW | {"stage1_kernel_sizes": [5, 3]}, fit_width="prune")
    with pytest.raises(UserError, match="is another network: stage1_conv1 is a Conv2D of 5x5"):
        starting_network(spec, OLD)


def test_a_plan_lets_a_graph_of_another_skeleton_pass(tmp_path):
    path = write(tmp_path / "model.keras", LITE, shuffle(OLD))
    spec = tiny_spec(pretrained_weights=str(path), load_graph=True, model=LITE)
    assert make_plan(spec, Dots(4)).skeleton == OLD
    assert len(POSE) == OLD.num_joints
