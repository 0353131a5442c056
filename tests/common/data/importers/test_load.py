"""Loading annotation files: COCO as it is, packed or not, and what is told of files that are none."""

import copy
import gzip
import json
import random
import re
import struct

import pytest
from support.coco_files import JOINTS, annotation, document, image
from support.exports import coco, cvat, shots, studio_coco, studio_tasks, zipped

from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError

PEOPLE = document([image(1)], [annotation(1, 1, (10, 10, 60, 80))])


@pytest.fixture
def load(tmp_path):
    """Load content as a file of a name."""

    def load_content(content, name="people.json", choice="", joints=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return load_document(f"{path}{choice}", joints)

    return load_content


def told(load, content, **how):
    with pytest.raises(UserError) as caught:
        load(content, **how)
    return str(caught.value)


def test_a_coco_file_comes_back_as_it_is(load):
    extra = PEOPLE | {"info": {"year": 2017}, "licenses": [{"id": 3}]}
    assert load(extra) == extra


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_any_unicode_encoding_is_read(load, encoding):
    named = document([image(1, name="Zoë 東京.jpg")], [annotation(1, 1, (10, 10, 60, 80))])
    assert load(json.dumps(named, ensure_ascii=False).encode(encoding)) == named


def test_gzip_and_zip_are_known_by_their_content_not_by_their_name(load):
    packed = json.dumps(PEOPLE).encode()
    assert load(gzip.compress(packed), name="people.dat") == PEOPLE
    assert load(zipped({"export/people.json": packed}), name="people.json") == PEOPLE
    assert load(zipped({"people.json.gz": gzip.compress(packed)}), name="people.zip") == PEOPLE
    clutter = {"__MACOSX/people.json": b"\0", ".hidden.json": b"\0", "a/people.json": packed, "a/1.jpg": b"\xff\xd8"}
    assert load(zipped(clutter), name="people.zip") == PEOPLE


def test_of_several_annotation_files_one_is_named_after_a_hash_mark(load, tmp_path):
    other = PEOPLE | {"images": [image(1, name="other.png")]}
    members = {"annotations/person_keypoints_Train.json": PEOPLE, "annotations/person_keypoints_Validation.json": other}
    packed = zipped(members | {"annotations/instances_Train.json": {}})
    expected = f"{tmp_path}/e.zip: it holds 2 annotation files: Train, Validation; name one of them after a #, as in "
    assert told(load, packed, name="e.zip") == expected + f"{tmp_path}/e.zip#Train"
    for choice in ("#Validation", "#person_keypoints_Validation.json", "#annotations/person_keypoints_Validation.json"):
        assert load(packed, name="e.zip", choice=choice) == other
    assert told(load, packed, name="e.zip", choice="#Test").endswith(
        "no annotation file 'Test' in it; name one of: Train, Validation, instances_Train"
    )
    assert "no zip archive" in told(load, PEOPLE, name="e.zip", choice="#Train")


@pytest.mark.parametrize("choice", ["", "#val"])
def test_an_archive_without_annotations_says_what_it_holds_whatever_is_named_in_it(load, choice):
    nested = zipped({"a.jpg": b"\xff\xd8", "sets/inner.zip": zipped({"val.json": PEOPLE})})
    assert told(load, nested, name="e.zip", choice=choice).endswith(
        "e.zip: it holds a zip archive in place of annotations: sets/inner.zip; unpack it"
    )
    assert "e.zip: it holds no annotation file; name or pack" in told(
        load, zipped({"a.jpg": b"\xff\xd8"}), name="e.zip", choice=choice
    )


def test_backslashes_between_folders_of_an_archive_are_slashes(load):
    members = {f"{half}\\_annotations.coco.json": PEOPLE | {"info": {"half": half}} for half in ("train", "valid")}
    packed = zipped(members | {"__MACOSX\\train\\_annotations.coco.json": b"\0"})
    assert load(packed, name="e.zip", choice="#valid")["info"] == {"half": "valid"}


def test_files_that_are_called_alike_are_named_by_their_folders(load, tmp_path):
    """As Roboflow packs them."""
    members = {f"{half}/_annotations.coco.json": PEOPLE | {"info": {"half": half}} for half in ("train", "valid")}
    packed = zipped(members)
    assert told(load, packed, name="e.zip").endswith(
        f"2 annotation files: train, valid; name one of them after a #, as in {tmp_path}/e.zip#train"
    )
    assert load(packed, name="e.zip", choice="#valid")["info"] == {"half": "valid"}
    assert "name one of: train, valid" in told(load, packed, name="e.zip", choice="#_annotations.coco.json")


def test_a_folder_is_read_as_an_archive_of_its_files_is(tmp_path):
    """A file of people counts before others, and a subset is named after a #."""
    for name, content in {
        "person_keypoints_Train.json": PEOPLE,
        "person_keypoints_Val.json": PEOPLE | {"info": {"half": "val"}},
        "instances_Train.json": {},
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"holds 2 annotation files: Train, Val; name one of them after a #"):
        load_document(tmp_path)
    assert load_document(f"{tmp_path}#Val")["info"] == {"half": "val"}
    (tmp_path / "person_keypoints_Val.json").unlink()
    assert load_document(tmp_path) == PEOPLE


def test_of_many_files_of_one_tool_the_tool_is_told(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png.json").write_text('{"size": {}, "tags": [], "objects": []}')
    with pytest.raises(UserError, match=r"0.png.json: this is a photo's file of Supervisely; export or convert it"):
        load_document(tmp_path)


@pytest.mark.parametrize("key", ["split", "subset"])
def test_a_file_of_several_subsets_is_told(load, caplog, key):
    """All of it would be trained on, or scored."""
    photos = [image(number) | {key: "val" if number == 2 else "train"} for number in (1, 2, 3)]
    load(document(photos, PEOPLE["annotations"]))
    assert f"it says of which '{key}' each photo is (2 train, 1 val), and all are read: give each a file" in caplog.text
    for others in (["train", "train", None], ["train", "", "left camera"], ["day", "night", "day"]):
        caplog.clear()
        load(document([photo | {key: told} for photo, told in zip(photos, others, strict=True)], PEOPLE["annotations"]))
        assert "and all are read" not in caplog.text


def test_the_outermost_keys_may_stand_there_once_only(load, tmp_path):
    text = '{"images": [],\n"annotations": [],\n"annotations": []}'
    assert told(load, text.encode()) == f"{tmp_path}/people.json:3: 'annotations' stands there twice; merge the two"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"images": [],\n "annotations": [1 2]}', ":2: not JSON: Expecting ',' delimiter at column 20"),
        ('{"images": [],\n "annotations": [', ":2: the file is cut short: it ends after 32 characters"),
        ('{"images": [],\n "annotations": ["abc', ":2: the file is cut short"),
        ('{"images": [], "annotations": [tr', ":1: the file is cut short"),
        ('{"images": []', ":1: the file is cut short"),
        ('{"images"', ":1: the file is cut short"),
        ("{", ":1: the file is cut short"),
        ('{"images": []} []', ":1: not JSON: Extra data at column 16"),
        ("{images: []}", ":1: not JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{"images": [],}', ":1: not JSON: Expecting property name enclosed in double quotes at column 15"),
        ("", ": the file is empty"),
        (" \n\t", ": the file is empty"),
        ("nonsense", ":1: not JSON: Expecting value at column 1"),
        ('{"images": ' + "[" * 100_000, ": brackets are nested too deeply"),
        ("[" * 100_000, ": brackets are nested too deeply"),
        ('{"images": [], "annotations": [' + "9" * 5000 + "]}", ": a number in it has thousands of digits"),
        ("17", ": not a COCO keypoints file: it holds no object"),
        ("null", ": not a COCO keypoints file: it holds no object"),
        ("[1, 2]", ": not a COCO keypoints file: it holds no object"),
        ("{}", ": not a COCO keypoints file: 'images' is no list of objects"),
        ('{"images": []}', ": not a COCO keypoints file: 'annotations' is no list of objects"),
        ('{"images": [], "annotations": 5}', ": not a COCO keypoints file: 'annotations' is no list of objects"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_with_its_line(load, tmp_path, text, expected):
    assert told(load, text.encode()).startswith(f"{tmp_path}/people.json{expected}")


def test_a_file_that_is_no_unicode_text_is_told_with_its_line(load, tmp_path):
    latin = '{"images": [],\n"annotations": ["Zoë"]}'.encode("latin-1")
    expected = f"{tmp_path}/people.json:2: byte 0xeb is no UTF-8 text; save the file as UTF-8"
    assert told(load, latin) == expected


def test_nan_is_left_to_the_check_of_the_annotation_that_has_it(load):
    found = load(b'{"images": [], "annotations": [{"keypoints": [NaN, Infinity, 1e999]}]}')
    assert str(found["annotations"][0]["keypoints"]) == "[nan, inf, inf]"


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path):
    with pytest.raises(UserError, match=r"gone.json: .*check annotation_root_dir_path"):
        load_document(tmp_path / "gone.json")
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        load_document(tmp_path)


YOLO = b"0 0.512 0.431 0.122 0.3 0.5 0.41 2 0.53 0.4 2\n0 0.1 0.2 0.1 0.2 0.5 0.41 2 0.53 0.4 2\n"
CVAT_XML = b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n</annotations>\n'
MIN = {"image": "/data/upload/1/a.jpg", "id": 1, "kp": [], "annotator": 1, "annotation_id": 1, "lead_time": 4.1}
CSV = b'"annotation_id","annotator","created_at","id","image","kp-1","lead_time","updated_at"\n1,1,"x",1,"y","[]",2,"z"'
BOXES = document([image(1)], [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}])


@pytest.mark.parametrize(
    ("content", "problem", "fix"),
    [
        (CVAT_XML, "it has no skeletons", "label each person with a skeleton in CVAT"),
        (b"<annotation><folder/></annotation>", "this is Pascal VOC", "COCO keypoints"),
        (zipped({"Annotations/a.xml": b"<annotation/>"}), "this is Pascal VOC", "COCO keypoints"),
        (b"<!doctype html><html>Sign in</html>", "this is XML or a web page", "COCO keypoints"),
        (YOLO, "these are YOLO's labels without their data.yaml", "name the data.yaml"),
        (
            zipped({"obj_train_data/a.txt": YOLO, "obj.names": b"person"}),
            "these are YOLO's labels without their data.yaml",
            "kpt_shape: [17, 3]",
        ),
        (
            zipped({"classes.txt": b"person", "labels/a.txt": YOLO}),
            "these are YOLO's labels without their data.yaml",
            "kpt_shape: [17, 3]",
        ),
        (CSV, "this is a table", 'export "JSON" from Label Studio, not "CSV" or "TSV"'),
        (CSV.replace(b",", b"\t"), "this is a table", 'export "JSON" from Label Studio'),
        (zipped({"result.csv": CSV}), "this is a table", 'export "JSON" from Label Studio'),
        ([MIN], "this is Label Studio's JSON-MIN", 'export "JSON" from Label Studio'),
        ([{"data": {"image": "a.jpg"}}], "these tasks of Label Studio carry no annotations", 'export "JSON"'),
        ({"task": {"id": 1}, "result": [], "id": 4}, "one annotation of Label Studio's cloud storage", 'export "JSON"'),
        ({"info": {}, "categories": {}, "items": []}, "no label of Datumaro's file has joints", "PointsCategories"),
        ({"shapes": [], "imagePath": "a.jpg"}, "nobody labelled a point in it", "one group id"),
        ({"_via_img_metadata": {}}, "this is a project of VIA", "COCO keypoints"),
        ([{"image_id": 1, "keypoints": [], "score": 1}], "a network's results", "name the annotations"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is a picture", "name the annotation file"),
        ({"a.png12": {"filename": "a.png", "size": 12, "regions": []}}, "these are annotations of VIA", "COCO"),
        ({"size": {}, "tags": [], "objects": []}, "a photo's file of Supervisely", "by the tool's own means"),
        ({"item": {}, "annotations": []}, "a photo's file of V7 Darwin", "by the tool's own means"),
        ({"metadata": {}, "instances": []}, "a photo's file of SuperAnnotate", "by the tool's own means"),
        ({"annolist": []}, "PoseTrack's first format", "COCO's format"),
        ({"images": [], "keypoint_names": []}, "OCHuman's own format", "COCO's format"),
        ({"version": 1.3, "people": []}, "what OpenPose found", "COCO keypoints"),
        ({"meta_info": {}, "instance_info": []}, "what MMPose found", "COCO keypoints"),
        ([{"image_id": "a", "keypoint_annotations": {}}], "AI Challenger's annotations", "COCO keypoints"),
        ([{"data_row": {}, "projects": {}}], "an export of Labelbox", "by the tool's own means"),
        (
            [{"image": "a", "center": [1, 2], "scale": 1}],
            "MPII's people without their joints",
            "training or validation",
        ),
        ([PEOPLE], "a list of COCO documents", "a file of its own"),
        ([{"task_id": 1, "params": {}}], "a list of objects with 'task_id', 'params'", "name a person_keypoints file"),
        (b'{"data": {"image": "a"}}\n{"data": {}}\n', "this is JSON Lines", "jq -s"),
        (b"scorer,me,me\nbodyparts,nose,nose\n", "this is a table (CSV)", "COCO keypoints"),
        (b"scorer,,,me,me\nindividuals,,,a,a\n", "this is a table (CSV)", "COCO keypoints"),
        (b"nose,12,34.5,a b.jpg,640,480", "this is a table (CSV)", "COCO keypoints"),
        (b'{"type": "dataset", "task": "pose"}\n{"type": "image"}\n', "this is Ultralytics' NDJSON", "data.yaml"),
        ({"data_row": {}, "projects": {}}, "an export of Labelbox", "by the tool's own means"),
        ({"classes": [], "tags": [], "projectType": "images"}, "the meta.json of Supervisely", "by the tool's own"),
        ({"version": "2.0.0", "skeletons": [], "videos": [], "labels": []}, "this is SLEAP's JSON", "COCO keypoints"),
        ({"asset": {}, "regions": []}, "a photo's file of VoTT", "COCO keypoints"),
        ({"info": {"description": "ISAT"}, "objects": []}, "ISAT: outlines without keypoints", "COCO keypoints"),
        ({"frame": 1, "sequence": 0, "captures": []}, "a frame of Unity Perception", "COCO keypoints"),
        ({"version": 0.1, "bodies": []}, "what AlphaPose found", "COCO keypoints"),
        (
            [{"keypoints": [], "bbox": [], "score": 0.9, "category_id": 1}],
            "a network's results",
            "name the annotations",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "this is HDF5, as of SLEAP", "COCO keypoints"),
        (b"a.json".ljust(257, b"\0") + b"ustar  \0", "this archive is none that is read here", "pack it as zip"),
        (
            gzip.compress(b"a.json".ljust(257, b"\0") + b"ustar", mtime=0),
            "this archive is none that is read here",
            "zip",
        ),
        (b"MATLAB 5.0 MAT-file", "this is a MATLAB file", "COCO keypoints"),
        (zipped({"xl/sheet.xml": b"<x/>"}), "this is a table (Excel)", "COCO keypoints"),
        (zipped({"images/a.jpg": b"\xff\xd8"}), "it holds no annotation file", "COCO Keypoints 1.0"),
        (zipped({}), "it holds no annotation file", "COCO Keypoints 1.0"),
        (zipped({"mine.zip": zipped({"people.json": PEOPLE})}), "it holds a zip archive", "unpack it"),
        (
            PEOPLE | {"categories": [{"id": 1, "name": "nose", "supercategory": "point", "keypoints": "keypoint"}]},
            "this is Encord's COCO of single points (nose), which does not tell whose each is",
            "one skeleton object",
        ),
        (BOXES, "no annotation has 'keypoints', it holds boxes", "name a person_keypoints file"),
    ],
)
def test_other_formats_are_known_and_the_right_export_is_named(load, content, problem, fix):
    message = told(load, content)
    assert problem in message
    assert fix in message.split(";", 1)[1]


def test_what_unpacks_to_absurd_sizes_is_refused(load, monkeypatch):
    monkeypatch.setattr("bodyposenet.common.data.importers.document.ANNOTATION_RATIO_FROM", 1 << 20)
    bomb = b'{"images": [' + b" " * (3 << 20)
    for packed in (gzip.compress(bomb), zipped({"result.json": bomb})):
        assert re.search(r"its \d+ bytes unpack to more than 1048576: no annotation file does that", told(load, packed))


def test_a_zip_that_lies_about_sizes_is_damaged_not_a_bomb(load):
    packed = bytearray(zipped({"result.json": b'{"images": [' + b" " * 100_000}))
    entry = packed.index(b"PK\x01\x02")
    struct.pack_into("<I", packed, entry + 24, 50)
    assert "damaged" in told(load, bytes(packed))


def test_names_that_leave_the_archive_and_passwords_are_refused(load):
    assert "this name leaves the archive's folder" in told(load, zipped({"../../etc/people.json": PEOPLE}))
    packed = bytearray(zipped({"people.json": PEOPLE}))
    struct.pack_into("<H", packed, packed.index(b"PK\x01\x02") + 8, 1)
    assert "it is encrypted; pack it again without a password" in told(load, bytes(packed))


def assert_document_or_error(load, content, **how):
    """Anything but a UserError that names the file comes through, and fails the test."""
    try:
        found = load(content, **how)
    except UserError as error:
        found = str(error)
    if isinstance(found, str):
        assert "people.json" in found
    else:
        assert isinstance(found["images"], list)
        assert isinstance(found["annotations"], list)


def _exports():
    photos = shots()
    whole = [coco(photos), cvat(photos), studio_tasks(photos), studio_coco(shots(crowded=False))]
    texts = [json.dumps(content).encode() for content in whole]
    return [*texts, gzip.compress(texts[0]), zipped({"annotations/person_keypoints_default.json": texts[1]})]


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_damaged_ends_in_a_document_or_a_clear_error(load, seed):
    """Bytes are dropped, doubled, overwritten or cut off; an error is a UserError, anything else fails the test."""
    chance = random.Random(seed)
    content = bytearray(chance.choice(_exports()))
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(content))
        end = start + chance.randint(1, 30)
        content[start:end] = chance.choice(
            [b"", content[start:end] * 2, chance.randbytes(3), b"[[", b'"', b"null", b"-1"]
        )
    if chance.random() < 0.3:
        del content[chance.randrange(len(content)) :]
    assert_document_or_error(load, bytes(content))


ODD = [None, True, -1, 10**30, 1e308, float("nan"), "", "x", "\ud800", [], {}, [[]], [None], {"id": []}, [[1, 2], "x"]]


@pytest.mark.parametrize("seed", range(300))
def test_whatever_stands_in_place_of_a_value_ends_in_a_document_or_a_clear_error(load, seed):
    chance = random.Random(seed)
    content = json.loads(chance.choice(_exports()[:4]))
    for _ in range(chance.randint(1, 3)):
        spot = content
        while chance.random() < 0.85 and spot and isinstance(next_one := _child(spot, chance), dict | list):
            spot = next_one
        if spot:
            key = chance.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
            spot[key] = copy.deepcopy(chance.choice(ODD))
    assert_document_or_error(load, content, joints=JOINTS)


def _child(spot, chance):
    return chance.choice(list(spot.values()) if isinstance(spot, dict) else spot)


def test_a_zip_with_a_broken_directory_is_damaged(load):
    packed = zipped({"result.json": PEOPLE})
    assert "damaged zip file" in told(load, packed[: len(packed) // 2])
