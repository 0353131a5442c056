"""Photos that EXIF data turn: whatever their annotations are of, all verbs take the same pixels for the same joints."""

import json

import numpy as np
import pytest
from PIL import Image
from support.coco_files import annotation, dataset_spec, document, image, write_annotations
from support.perfect import PerfectRunner, standing
from support.turned_photos import LOSSLESS, ORIENTATIONS, draw_photo, store_turned

from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.hold_out import open_hold_out, write_hold_out
from bodyposenet.common.data.loading.decoding import decode_photo
from bodyposenet.common.data.photo_set import DATASET_SPEC, keep_test_half
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.report.dataset_pictures import picture
from bodyposenet.common.data.report.dataset_report import set_skeleton
from bodyposenet.common.data.sampling.calibration_sample import copy_sample
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.photo_store import open_photos

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

WIDE, SQUARE = (240, 320), (256, 256)
TALL_BOX = (20, 10, 90, 210)  # ends beyond neither side
STRANGER = (140, 100, 60, 90)
HOW = parse_spec({"input_shape": [184, 184]}, InferenceSpec)


def write_set(root, sizes, *, suffix=".png", stored=False, exif=True, told=None, **changes):
    """Photos, one for each orientation that ``sizes`` names, with a person and a stranger each.

    Args:
        root: Of the set.
        sizes: Size of the picture that is annotated, by orientation.
        suffix: Of the photos.
        stored: Whether the pixels as stored are annotated; else the picture as shown.
        exif: Whether the photos tell the orientation; else the pixels that are annotated are stored without any.
        told: Gives what the annotations say of a size.
        changes: Keys of the spec.
    """
    images, people = [], []
    for number, (orientation, size) in enumerate(sizes.items(), 1):
        seen = draw_photo(number, size)
        path = root / "images" / f"{number:03d}{suffix}"
        if exif and stored:
            path.parent.mkdir(parents=True, exist_ok=True)
            tags = Image.Exif()
            tags[0x0112] = orientation
            Image.fromarray(seen).save(path, exif=tags, **LOSSLESS[suffix])
        else:
            store_turned(path, seen, orientation if exif else 1)
        entry = image(number, size=size, name=path.name)
        images.append(told(entry) if told else entry)
        people.append(standing(2 * number, number, TALL_BOX))
        people.append(annotation(2 * number + 1, number, STRANGER, labelled=0))
    write_annotations(root / "annotations/people.json", document(images, people))
    return dataset_spec(root, **changes)


def convert(spec, output):
    done = convert_dataset(spec, output / "train", results_dir=output)
    shards = open_shards(done.manifest.parent, [path.name for path in done.shards])
    found = [record for shard in shards for record in map(shard.__getitem__, range(len(shard)))]
    return done, sorted(found, key=lambda record: record.image_id)


def told_in(record):
    """All of a record but the file's bytes and the way of the turn."""
    plain = {name: value for name, value in vars(record).items() if name not in ("image", "orientation")}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in plain.items()}


def hold_alike(ones, others, most=0):
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        assert told_in(one) == told_in(other)
        assert np.abs(decode_photo(one).astype(int) - decode_photo(other)).max() <= most


SHOWN = {orientation: WIDE for orientation in ORIENTATIONS}


@pytest.mark.parametrize("suffix", [*LOSSLESS])
def test_a_photo_stored_turned_and_annotated_as_shown_gives_the_record_of_the_upright_one(tmp_path, suffix):
    turned = convert(write_set(tmp_path / "turned", SHOWN, suffix=suffix), tmp_path / "a")[1]
    upright = convert(write_set(tmp_path / "upright", SHOWN, suffix=suffix, exif=False), tmp_path / "b")[1]
    hold_alike(turned, upright, most=24 if suffix == ".jpg" else 0)
    assert [record.orientation for record in turned] == [*ORIENTATIONS]


@pytest.mark.parametrize("suffix", [*LOSSLESS])
def test_a_photo_annotated_as_stored_gives_the_record_of_the_one_without_exif_data(tmp_path, suffix):
    spec = write_set(tmp_path / "turned", SHOWN, suffix=suffix, stored=True, unclear_orientation="stored")
    turned = convert(spec, tmp_path / "a")[1]
    plain = convert(write_set(tmp_path / "plain", SHOWN, suffix=suffix, exif=False), tmp_path / "b")[1]
    hold_alike(turned, plain)
    assert {record.orientation for record in turned} == {1}


def swap_sides(entry):
    """What tools say that read sizes without EXIF data, and show pictures with them."""
    return entry | {"height": entry["width"], "width": entry["height"]}


def drop_sides(entry):
    return {key: value for key, value in entry.items() if key not in ("height", "width")}


LYING = (10, 20, 300, 80)  # reaches further to the right than a turned photo is wide
QUARTER_TURNS = {orientation: WIDE for orientation in (5, 6, 7, 8)}


@pytest.mark.parametrize("told", [swap_sides, drop_sides])
@pytest.mark.parametrize("stored", [False, True])
def test_where_sizes_mislead_people_who_would_lie_outside_tell(tmp_path, told, stored):
    found = []
    for name, changes in {"wrong": {"told": told, "stored": stored}, "right": {"exif": False}}.items():
        spec = write_set(tmp_path / name, QUARTER_TURNS, **changes)
        file = tmp_path / name / "annotations/people.json"
        content = json.loads(file.read_text())
        for person in content["annotations"][::2]:
            person |= standing(person["id"], person["image_id"], LYING)
        file.write_text(json.dumps(content))
        found.append(convert(spec, tmp_path / f"out {name}"))
    hold_alike(found[0][1], found[1][1])
    assert not [problem for problem in found[0][0].problems if not problem.kept]


def test_a_box_that_leaves_a_photo_that_nothing_turns_stays_outside(tmp_path):
    spec = write_set(tmp_path / "set", {1: WIDE}, told=swap_sides)
    with pytest.raises(Exception, match="the image has 320 x 240 pixels, the annotations say 240 x 320"):
        convert_dataset(spec, tmp_path / "out/train")


UNCLEAR = {2: WIDE, 3: WIDE, 4: WIDE} | {orientation: SQUARE for orientation in (5, 6, 7, 8)}


@pytest.mark.parametrize("key", ["shown", "stored"])
def test_where_no_size_tells_the_spec_does_and_every_verb_takes_the_same_pixels(tmp_path, key):
    spec = write_set(tmp_path / "turned", UNCLEAR, stored=key == "stored", unclear_orientation=key)
    plain = write_set(tmp_path / "plain", UNCLEAR, exif=False)
    done, records = convert(spec, tmp_path / "a")
    hold_alike(records, convert(plain, tmp_path / "b")[1])
    report = json.loads((tmp_path / "a/train.dataset_report.json").read_text())
    assert report["orientation"]["photos"] == {"unclear": 7}
    assert report["orientation"]["text"] in (tmp_path / "a/train.dataset_report.html").read_text()
    assert not done.problems  # the spec says it


def test_a_default_that_had_to_be_used_is_told_once(tmp_path):
    spec = write_set(tmp_path / "set", UNCLEAR | {1: WIDE})
    done, records = convert(spec, tmp_path / "out")
    assert [record.orientation for record in records] == [2, 3, 4, 5, 6, 7, 8, 1]
    (problem,) = done.problems
    assert problem.kept
    assert "EXIF data turn 7 photos without changing the size" in problem.text
    assert "unclear_orientation" in problem.fix


MIXED = {1: WIDE, 3: WIDE, 6: SQUARE, 8: (300, 240)}


@pytest.mark.parametrize("stored", [False, True])
def test_evaluation_sampling_and_pictures_take_the_pixels_of_the_records(tmp_path, stored):
    key = {"unclear_orientation": "stored" if stored else "shown"}
    turned = write_set(tmp_path / "turned", MIXED, stored=stored, **key)
    plain = write_set(tmp_path / "plain", MIXED, exif=False)
    records = convert(turned, tmp_path / "records")[1]

    runners = [PerfectRunner(read_test_set(spec), shape=(184, 184)) for spec in (turned, plain)]
    scores = [
        evaluate(runner, HOW, spec, tmp_path / f"evaluation {number}")
        for number, (runner, spec) in enumerate(zip(runners, (turned, plain), strict=True))
    ]
    assert all((one == other).all() for one, other in zip(runners[0].inputs, runners[1].inputs, strict=True))
    assert scores[0].metrics == scores[1].metrics
    assert scores[0].ap > 0.5

    coco, store = read_half(turned, "train"), open_photos(tmp_path / "turned/images")
    copy_sample(coco, store, tmp_path / "sample", num_images=4, unclear=turned.unclear_orientation)
    for record in records:
        copied = read_image(locate(tmp_path / "sample") / record.image_path.split("/")[-1])
        assert (copied == decode_photo(record)).all()

    skeleton = set_skeleton(coco.joints)
    for photo, other in zip(coco.photos, read_half(plain, "train").photos, strict=True):
        drawn = [
            picture(store.read(photo.file_name), photo, [0], skeleton, unclear=turned.unclear_orientation),
            picture(open_photos(tmp_path / "plain/images").read(other.file_name), other, [0], skeleton),
        ]
        assert drawn[0] == drawn[1]


def test_inference_sees_a_photo_as_it_is_shown(tmp_path):
    for orientation in ORIENTATIONS:
        seen = draw_photo(orientation, WIDE)
        store_turned(tmp_path / "photo.png", seen, orientation)
        assert (read_image(tmp_path / "photo.png") == seen).all()


@pytest.mark.parametrize("size", [(240, 320), (237, 315)])  # squares of pixels end at the edge, or beyond it
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_turned_photo_is_reduced_as_the_upright_one(tmp_path, size, orientation, factor):
    shown = draw_photo(orientation, size)
    store_turned(tmp_path / "turned.jpg", shown, orientation)
    store_turned(tmp_path / "upright.png", shown, 1)

    def reduce(name, turn):
        blank = np.zeros((1, 17, 3)), np.zeros((1, 4))
        data = (tmp_path / name).read_bytes()
        return decode_photo(Record(1, *size, "a", "b", "coco", data, None, *blank, (0,), None, turn), factor)

    ours, wanted = reduce("turned.jpg", orientation), reduce("upright.png", 1)
    assert ours.shape == wanted.shape
    assert np.abs(ours.astype(int) - wanted).mean() < 2


def test_records_made_before_are_of_the_pixels_as_stored(tmp_path):
    stored = store_turned(tmp_path / "old.png", draw_photo(1, WIDE), 6)
    data = (tmp_path / "old.png").read_bytes()
    old = Record(1, *stored.shape[:2], "a", "b", "coco", data, None, np.zeros((1, 17, 3)), np.zeros((1, 4)), (0,))
    assert b"frame/orientation" not in old.to_bytes()  # as they were written
    read = Record.from_bytes(old.to_bytes())
    assert (decode_photo(read) == stored).all()


def test_sizes_are_not_looked_for_in_photos_of_a_sound_set(tmp_path):
    spec = write_set(tmp_path / "set", SHOWN)
    for path in (tmp_path / "set/images").iterdir():
        path.write_bytes(b"no image")
    coco = read_half(spec, "train")
    assert coco.problems == ()
    assert (coco.images.heights == WIDE[0]).all()


@pytest.mark.parametrize("unclear", ["shown", "stored"])
def test_shares_of_photos_are_of_the_same_pixels_in_what_is_kept_for_an_evaluation(tmp_path, unclear):
    """A YOLO dataset tells no sizes, so the spec says what its shares are of; what is kept of it is one COCO file."""
    stored = store_turned(tmp_path / "set/images/train/a.png", draw_photo(1, WIDE), 6)
    line = " ".join(["0 0.5 0.5 0.4 0.4", *["0.25 0.5 2"] * 17])
    for name, text in {
        "labels/train/a.txt": line,
        "data.yaml": "train: images/train\nkpt_shape: [17, 3]\nnames: [person]",
    }.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text)
    where = {
        "images_root_dir_path": "images/train",
        "mask_root_dir_path": "masks",
        "annotation_root_dir_path": "data.yaml",
    }
    spec = dataset_spec(tmp_path / "set", train_data=where, test_data=where, unclear_orientation=unclear)
    kept = keep_test_half(spec, tmp_path / "kept")
    (tmp_path / "kept" / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True))
    held = write_hold_out(tmp_path / "kept", tmp_path / "champion")
    height, width = WIDE if unclear == "shown" else stored.shape[:2]
    for each in (spec, kept, open_hold_out(held.photos, held.archive, tmp_path / "opened")):
        (photo,) = read_half(each, "test").photos
        assert (photo.height, photo.width) == (height, width)
        assert photo.people[0].keypoints[0].tolist() == [0.25 * width, 0.5 * height, 2]
