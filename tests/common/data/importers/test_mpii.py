"""MPII's and CrowdPose's JSON, and COCO as FiftyOne, DeepLabCut and sleap-io write it: the people of the COCO file."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import coco, shots, zipped
from support.tool_files import assert_same_people, people_in, pixels, write_files

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.mpii import JOINTS as MPII
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate

EXPORTS = Path(__file__).parents[3] / "exports"
CROWDPOSE = [*JOINTS[5:], "head", "neck"]


@pytest.fixture
def read(tmp_path):
    photos = write_files(tmp_path / "photos", {shot.name: pixels(shot) for shot in shots()})

    def read_document(document, joints=None, **how):
        path = tmp_path / "people.json"
        path.write_text(json.dumps(document))
        return read_annotations(path, joints, strict=False, album=Album(locate(photos)), **how)

    return read_document


def renamed(document, names, joints):
    """A COCO document with other joints: for each of the new ones the one that stands for it."""
    document["categories"][0]["keypoints"] = joints
    for entry in document["annotations"]:
        triplets = np.reshape(entry["keypoints"], (-1, 3))
        entry["keypoints"] = triplets[[JOINTS.index(name) for name in names]].ravel().tolist()
        entry.pop("bbox")
    return document


STANDS = [*JOINTS[16:4:-2][:3], *JOINTS[11:17:2], "nose", "left_eye", "right_eye", "left_ear",
          *JOINTS[10:4:-2], *JOINTS[5:11:2]]  # fmt: skip


def test_the_joints_of_mpii_have_the_places_that_its_description_gives_them():
    sides = [name for name in MPII if name.startswith(("left", "right"))]
    assert [STANDS[MPII.index(name)] for name in sides] == sides


def mpii(form):
    """One entry for each person; MATLAB counts pixels from 1, and what is not labelled is at -1 or at 0."""
    entries = []
    for shot in shots():
        for one in shot.figures:
            told = [one.joints.get(name, (0, 0, 0)) for name in STANDS]
            blank = [-1, -1] if form == "joints" else [0, 0]
            places = [[x + 1, y + 1] if flag else blank for x, y, flag in told]
            seen = [int(flag == 2) for _, _, flag in told]
            size = {"img_height": shot.size[0], "img_width": shot.size[1]}
            entries.append(
                {"image": shot.name, "joints": places, "joints_vis": seen, "scale": 3.0, "center": [594.0, 257.0]}
                if form == "joints"
                else {
                    "img_paths": shot.name,
                    "joint_self": [[*place, flag] for place, flag in zip(places, seen, strict=True)],
                    "numOtherPeople": 0,
                }
                | size
            )
    return entries


@pytest.mark.parametrize("form", ["joints", "joint_self"])
def test_both_forms_of_mpii_give_the_people_of_the_coco_file(read, form, caplog):
    expected = people_in(read(renamed(coco(shots()), STANDS, list(MPII))))
    with caplog.at_level("INFO"):
        found = read(mpii(form))
    assert found.joints == MPII
    assert_same_people(people_in(found), expected)
    assert found.images.heights.tolist() == [shot.size[0] for shot in shots()]
    assert "people.json: read as MPII's JSON: 3 photos, 4 people" in caplog.text


@pytest.mark.parametrize(("halves", "told"), [((0.0, 1.0, 0, 0), True), ((1, 1, 1, 1), False), ((), False)])
def test_a_file_of_mpii_that_holds_its_validation_set_is_told(read, caplog, halves, told):
    entries = mpii("joint_self")
    for entry, half in zip(entries, halves, strict=False):
        entry["isValidation"] = half
    read(entries)
    text = "it says of which 'isValidation' each photo is (3 training, 1 validation), and all are read"
    assert (text in caplog.text) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"joints": [[1, 2]]}, "it has 1 joints"),
        ({"joints": [["x", 2]] * 16}, "a joint of it is no number"),
        ({"joints": 5}, "it has 0 joints"),
        ({"joints": [[5]] * 16}, "a joint of it is no number"),
    ],
)
def test_an_entry_of_mpii_that_cannot_be_read_is_left_out_alone(read, tmp_path, change, told):
    entries = mpii("joints")
    whole = people_in(read(entries))
    entries[2] |= change
    found = read(entries)
    assert_same_people(people_in(found), whole | {"b.png": []})
    assert [problem.text for problem in found.problems if not problem.kept] == [
        f"{tmp_path}/people.json: entry number 3: {told}"
    ]


def test_an_entry_of_mpii_without_a_photo_is_told(read):
    entries = mpii("joints")
    del entries[2]["image"]
    assert set(people_in(read(entries))) == {"a.png", "c.png"}


@pytest.mark.parametrize("named", [True, False])
def test_crowdpose_gives_the_people_of_the_coco_file(read, named):
    """Its photos have a crowdIndex and its people no areas; joints are named here where it does not."""
    names = [*JOINTS[5:], "nose", "left_eye"]
    expected = people_in(read(renamed(coco(shots()), names, CROWDPOSE)))
    document = renamed(coco(shots()), names, CROWDPOSE)
    for image in document["images"]:
        image["crowdIndex"] = 0.3
    for entry, one in zip(document["annotations"], [one for shot in shots() for one in shot.figures], strict=True):
        entry["bbox"] = one.box
        del entry["area"]
    if not named:
        document["categories"] = [{"supercategory": "person", "id": 1, "name": "person"}]
    found = read(document)
    assert found.joints == tuple(CROWDPOSE)
    assert_same_people(people_in(found), expected, boxes=False)


def test_fiftyones_coco_takes_the_specs_joints_as_it_names_none(read):
    document = json.loads((EXPORTS / "fiftyone/labels.json").read_text())
    found, whole = people_in(read(document, JOINTS)), people_in(read(coco(shots()), JOINTS))
    assert_same_people(found, whole, within=1)  # it cuts places to whole pixels
    with pytest.raises(UserError, match="no category names 'keypoints'"):
        read(document)


def test_deeplabcuts_coco_numbers_from_nought_and_has_its_own_name_for_people(read):
    """Its category is an individual of the project, photos have their paths there; it knows no hidden joints."""
    document = coco(shots())
    document["categories"] = [{"name": "individual1", "id": 0, "supercategory": "animal", "keypoints": JOINTS}]
    for image in document["images"]:
        image |= {"id": image["id"] - 1, "file_name": f"/home/me/project/labeled-data/clip/{image['file_name']}"}
    for entry in document["annotations"]:
        triplets = np.array(entry["keypoints"], float).reshape(-1, 3)
        triplets[:, 2] = np.where(triplets[:, 2] > 0, 2, 0)
        entry |= {"image_id": entry["image_id"] - 1, "category_id": 0, "keypoints": triplets.ravel().tolist()}
        del entry["segmentation"]
    found = read(document, {"person": JOINTS})
    assert [problem for problem in found.problems if not problem.kept] == []
    assert_same_people(people_in(found), people_in(read(coco(shots()), {"person": JOINTS})), flags=False)


def test_sleap_ios_coco_gives_the_people_but_for_hidden_joints(read):
    document = json.loads((EXPORTS / "sleap_io/coco.json").read_text())
    found, whole = people_in(read(document, JOINTS)), people_in(read(coco(shots()), JOINTS))
    assert_same_people(found, whole, flags=False)
    for name, people in found.items():
        for (joints, _), (other, _) in zip(people, whole[name], strict=True):
            np.testing.assert_array_equal(joints[:, 2], np.where(other[:, 2] > 0, 2, 0))


@pytest.mark.parametrize(("seen", "flag"), [("0", 1), ("1", 2), (0.0, 1), (True, 2), (None, 2)])
@pytest.mark.parametrize("form", ["joints_vis", "joint_self"])
def test_visibility_is_read_as_a_number_or_a_text(read, seen, flag, form):
    places = [[5 * number + 1, 20 + number] for number in range(len(MPII))]
    apart = {"image": "a.png", "joints": places, "joints_vis": [seen] * len(MPII)}
    within = {"img_paths": "a.png", "joint_self": [[*place, seen] for place in places]}
    found = read([apart if form == "joints_vis" else within], MPII)
    assert set(found.annotations.keypoints[0, :, 2]) == {flag}


def test_a_visibility_that_is_none_is_told(read):
    places = [[5 * number + 1, 20 + number] for number in range(len(MPII))]
    people = [{"image": "a.png", "joints": places, "joints_vis": seen * len(MPII)} for seen in ([1], ["maybe"])]
    found = read(people, MPII)
    assert len(found.annotations.ids) == 1
    assert "entry number 2: a joint of it is no number" in " ".join(map(str, found.problems))


def test_frames_of_posetrack_that_nobody_labelled_are_left_out(tmp_path, caplog):
    """They show people, and would be photos with nobody in them."""
    content = coco(shots())
    for entry in content["images"]:
        entry["is_labeled"] = entry["file_name"] != "c.png"
    content["annotations"].pop()
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    found = read_annotations(path, JOINTS)
    assert [photo.file_name for photo in found.photos] == ["a.png", "b.png"]
    assert "1 of 3 images are left out: 'is_labeled' is false" in caplog.text


def posetrack(folder="val"):
    """The photos as frames of three videos, each with a file of its own, after PoseTrack21's dataset_structure.md."""
    videos = {}
    for number, shot in enumerate(shots(), 1):
        content = coco([shot])
        frame = {"id": 10_000_000_000 * number, "file_name": f"images/{folder}/00000{number}_mpii/{shot.name}"}
        frame |= {"is_labeled": True, "vid_id": f"00000{number}", "frame_id": frame["id"], "nframes": 1}
        people = [
            entry | {"id": 100 * frame["id"] + track, "image_id": frame["id"], "track_id": track}
            for track, entry in enumerate(content["annotations"])
        ]
        document = content | {"images": [frame], "annotations": people}
        videos[f"{folder}/00000{number}_mpii.json"] = json.dumps(document).encode()
    return videos


@pytest.mark.parametrize("packed", [True, False])
def test_posetracks_files_of_a_video_each_are_one_set(tmp_path, expected, packed, caplog):
    place = write_files(tmp_path / "annotations", posetrack())
    if packed:
        place = tmp_path / "annotations.zip"
        place.write_bytes(zipped(posetrack()))
    photos = write_files(
        tmp_path / "photos", {f"val/00000{n}_mpii/{x.name}": pixels(x) for n, x in enumerate(shots(), 1)}
    )
    with caplog.at_level("INFO"):
        found = read_annotations(place, JOINTS, album=Album(locate(photos)), strict=False)
    assert_same_people(people_in(found), expected)
    assert {problem.kind for problem in found.problems} == {"height"}  # the files tell no sizes
    assert "annotations" in caplog.text
    assert "3 files of PoseTrack's videos are joined" in caplog.text


@pytest.mark.parametrize("packed", [True, False])
def test_of_several_folders_of_posetracks_videos_one_is_named(tmp_path, packed):
    both = posetrack("train") | posetrack("val")
    place = write_files(tmp_path / "annotations", both)
    if packed:
        place = tmp_path / "annotations.zip"
        place.write_bytes(zipped(both))
    with pytest.raises(UserError, match=r"holds 2 folders of videos: train, val; name one .*#train"):
        read_annotations(place, JOINTS)
    found = read_annotations(f"{place}#val", JOINTS, strict=False)
    assert len(found.problems) == len(shots())  # none has a size
    assert all("images" not in problem.text for problem in found.problems)


def test_a_file_among_posetracks_that_is_no_videos_is_refused(tmp_path):
    place = write_files(tmp_path / "val", posetrack() | {"val/other.json": b"[1, 2]"})
    with pytest.raises(UserError, match="has no lists of images, annotations and categories"):
        read_annotations(place, JOINTS)


@pytest.mark.parametrize("nested", [True, False])
def test_regions_that_posetrack_ignores_are_masked(tmp_path, nested):
    """People in them are not labelled, and would be taught as nobody."""
    content = coco(shots())
    for entry in content["images"]:
        entry["is_labeled"] = True
    xs, ys = [100, 150, 150, 100], [10, 10, 60, 60]
    content["images"][1] |= {"ignore_regions_x": [xs] if nested else xs, "ignore_regions_y": [ys] if nested else ys}
    wrong = [[1, 2, 3], 5, [1, 2], [1, None, 3], [4, 4, 4], [], {}]
    content["images"][2] |= {"ignore_regions_x": wrong, "ignore_regions_y": [[1, 2], *wrong[1:]]}
    content["images"][0] |= {"ignore_regions_x": [], "ignore_regions_y": "x"}
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    photos = read_annotations(path, JOINTS).photos
    assert [[person.crowd for person in photo.people] for photo in photos] == [[False, False], [False, True], [False]]
    region = photos[1].people[1]
    assert region.box.tolist() == [100, 10, 50, 50]
    assert region.segmentation == [[100, 10, 150, 10, 150, 60, 100, 60]]
