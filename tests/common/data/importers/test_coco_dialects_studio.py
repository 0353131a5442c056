"""Label Studio's COCO export: put together where it can be, refused where it mixes people."""

import json

import pytest
from support.coco_files import JOINTS
from support.exports import coco, shots, studio_coco, zipped

from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError

ALONE = shots(crowded=False)


@pytest.fixture
def load(tmp_path):
    def load_content(content, *, packed=True):
        path = tmp_path / "export"
        path.write_bytes(zipped({"result.json": content}) if packed else json.dumps(content).encode())
        return load_document(path)

    return load_content


def test_boxes_and_keypoints_come_together_under_the_label_of_the_boxes(load):
    found, expected = load(studio_coco(ALONE)), coco(ALONE)
    assert found["categories"] == [{"id": 1, "name": "Person", "keypoints": JOINTS, "skeleton": []}]
    for person, other in zip(found["annotations"], expected["annotations"], strict=True):
        assert person["image_id"] == other["image_id"] - 1
        assert (person["bbox"], person["num_keypoints"]) == (other["bbox"], other["num_keypoints"])
        assert person["keypoints"][0::3] == other["keypoints"][0::3]
        assert person["keypoints"][2::3] == [2 * (flag > 0) for flag in other["keypoints"][2::3]]


def test_the_json_file_alone_does_and_names_are_those_in_its_images_folder(load):
    found = load(studio_coco(ALONE), packed=False)
    assert [image["file_name"] for image in found["images"]] == ["0a1b2c3d-a.png", "4e5f6071-b.png", "8293a4b5-c.png"]


@pytest.mark.parametrize("folder", ["images\\", "../../media/upload/7/", "..\\..\\home\\me\\"])
def test_paths_to_where_label_studio_kept_the_photos_are_cut(load, folder):
    document = studio_coco(ALONE)
    for image in document["images"]:
        image["file_name"] = image["file_name"].replace("images/", folder)
    assert [image["file_name"][8:] for image in load(document)["images"]] == ["-a.png", "-b.png", "-c.png"]


@pytest.mark.parametrize("prefix", ["/data/local-files/?d=set/", "/data/upload/3/", "http://localhost/data/upload/3/"])
def test_addresses_of_photos_that_were_not_downloaded_are_names(load, prefix):
    document, expected = studio_coco(ALONE), coco(ALONE)
    names = [f"a#{number} b.jpg" for number, _ in enumerate(document["images"])]
    for image, name in zip(document["images"], names, strict=True):
        image["file_name"] = prefix + name.replace(" ", "%20")
    found = load(document)
    assert [image["file_name"] for image in found["images"]] == names
    assert len(found["annotations"]) == len(expected["annotations"])


def test_a_photo_of_two_people_is_refused_as_their_joints_are_mixed(load):
    with pytest.raises(UserError) as caught:
        load(studio_coco(shots()))
    problem = "image 0: this photo has 2 people, and Label Studio's COCO export mixes their keypoints"
    assert str(caught.value).endswith(f'result.json: {problem}; export "JSON" from Label Studio')


def test_boxes_of_other_things_do_not_count_where_people_are_called_person(load):
    document = studio_coco(ALONE)
    document["categories"].append({"id": 2, "name": "ball"})
    document["annotations"].append(document["annotations"][0] | {"id": 99, "category_id": 2, "bbox": [0, 0, 5, 5]})
    assert load(document)["annotations"] == load(studio_coco(ALONE))["annotations"]


def test_people_without_keypoints_stay(load):
    document = studio_coco(ALONE)
    document["annotations"] = [entry for entry in document["annotations"] if entry["id"] != 1]
    people = load(document)["annotations"]
    assert sorted(person["num_keypoints"] for person in people) == [0, 16, 17]
    assert all(len(person["keypoints"]) == 51 for person in people)


def test_keypoints_without_boxes_are_refused(load):
    document = studio_coco(ALONE)
    boxes = [entry for entry in document["annotations"] if "keypoints" not in entry]
    posed = [entry for entry in document["annotations"] if "keypoints" in entry]
    with pytest.raises(UserError, match="its keypoints stand in no boxes: whose they are is lost; draw a rectangle"):
        load(document | {"annotations": posed})
    with pytest.raises(UserError, match="image 2: this photo has no box for their keypoints; draw a rectangle"):
        load(document | {"annotations": posed + boxes[:2]})


def test_exports_of_versions_that_leave_keypoints_out_are_refused(load):
    document = studio_coco(ALONE)
    boxes = [entry for entry in document["annotations"] if "keypoints" not in entry]
    for categories in (document["categories"], document["categories"][:1]):
        with pytest.raises(UserError, match=r'exported no keypoints in it; .*export "JSON" from Label Studio'):
            load(document | {"annotations": boxes, "categories": categories})


def test_labels_without_a_model_index_are_noticed(load):
    document = studio_coco(ALONE)
    for entry in document["annotations"]:
        if "keypoints" in entry:
            entry["keypoints"] = entry["keypoints"][:45]
    with pytest.raises(
        UserError, match="it names 17 joints, but writes 15: not every keypoint label has a model_index"
    ):
        load(document)


def test_the_danger_of_mixed_up_joints_is_told(load, caplog):
    load(studio_coco(ALONE))
    assert "orders their numbers by model_index" in caplog.text


def test_a_photo_that_two_people_annotated_counts_once(load, caplog):
    document = studio_coco(ALONE)
    document["images"].append(document["images"][0] | {"id": 3})
    again = [entry | {"image_id": 3} for entry in document["annotations"] if entry["image_id"] == 0]
    document["annotations"] += [entry | {"id": 50 + entry["id"]} for entry in again]
    found = load(document)
    assert [image["id"] for image in found["images"]] == [0, 1, 2]
    assert len(found["annotations"]) == 3
    assert "the first annotation counts" in caplog.text
