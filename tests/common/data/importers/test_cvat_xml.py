"""CVAT's own XML: skeletons on photos and along tracks are the people of the COCO file."""

import json

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import Figure, Shot, coco, figure, shots, zipped
from support.tool_files import assert_same_people, cvat_meta, cvat_points, cvat_xml, people_in, pixels, write_files

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate


def read(tmp_path, text, *, images=None, joints=JOINTS):
    path = tmp_path / "export.xml"
    path.write_text(text)
    return read_annotations(path, joints, strict=False, album=Album(locate(images)) if images else None)


def as_coco(tmp_path, photos):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco(photos)))
    return people_in(read_annotations(path, JOINTS))


def told(tmp_path, text):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    return str(caught.value)


def without_notes(coco):
    """The problems but the note that a box is that of the joints, as CVAT writes none."""
    return [problem for problem in coco.problems if problem.kind != "bbox"]


@pytest.mark.parametrize("how", ["file", "zip", "folder"])
def test_skeletons_on_photos_are_the_people_of_the_coco_file(tmp_path, how):
    text = cvat_xml(shots())
    (tmp_path / "job").mkdir()
    (tmp_path / "job/annotations.xml").write_text(text)
    (tmp_path / "job.zip").write_bytes(zipped({"annotations.xml": text.encode(), "images/a.png": b"\x89"}))
    path = {"file": "job/annotations.xml", "zip": "job.zip", "folder": "job"}[how]
    found = read_annotations(tmp_path / path, JOINTS, strict=False)
    assert without_notes(found) == []
    assert_same_people(people_in(found), as_coco(tmp_path, shots()))
    assert found.images.heights.tolist() == [shot.size[0] for shot in shots()]


def test_joints_are_put_in_order_by_their_labels(tmp_path):
    found = read(tmp_path, cvat_xml(shots(), turned=True))
    assert_same_people(people_in(found), as_coco(tmp_path, shots()))


def test_without_a_list_of_labels_the_skeletons_tell_the_joints(tmp_path):
    found = read(tmp_path, cvat_xml(shots(), meta=""))
    assert_same_people(people_in(found), as_coco(tmp_path, shots()))


def test_a_grouped_rectangle_is_the_persons_box_and_one_without_a_skeleton_is_masked(tmp_path):
    box = '<box label="{}" occluded="0" xtl="5" ytl="6" xbr="55" ybr="106" group_id="{}"></box>\n'
    text = cvat_xml(shots()[2:]).replace('<skeleton label="person"', '<skeleton label="person" group_id="3"')
    text = text.replace("</image>", box.format("box", 3) + box.format("person", 0) + box.format("car", 0) + "</image>")
    (joints, around), (nobody, other) = people_in(read(tmp_path, text))["c.png"]
    assert (joints[:, 2] > 0).all()
    assert not nobody.any()
    np.testing.assert_array_equal([around, other], [[5, 6, 50, 100]] * 2)


@pytest.mark.parametrize("how", ["file", "zip"])
def test_of_a_projects_subsets_one_must_be_named(tmp_path, how):
    """The halves of a dataset must not be mixed for want of a word."""
    text = cvat_xml(shots())
    for name, subset in (("a", "Val"), ("b", "Train"), ("c", "Train")):
        text = text.replace(f'name="{name}.png"', f'name="{name}.png" subset="{subset}"')
    path = tmp_path / ("annotations.xml" if how == "file" else "job.zip")
    path.write_bytes(text.encode() if how == "file" else zipped({"annotations.xml": text.encode()}))
    expected = as_coco(tmp_path, shots())
    assert_same_people(people_in(read_annotations(f"{path}#Val", JOINTS)), {"a.png": expected["a.png"]})
    trained = people_in(read_annotations(f"{path}#train", JOINTS))
    assert_same_people(trained, {name: expected[name] for name in ("b.png", "c.png")})
    with pytest.raises(UserError, match=r"several subsets; name one of them after a #, .*it has: Val, Train"):
        read_annotations(path, JOINTS)
    with pytest.raises(UserError, match=r"it has no subset 'Test'; .*it has: Val, Train"):
        read_annotations(f"{path}#Test", JOINTS)


def walk(at):
    """Somebody who walks ten pixels to the right in each frame."""
    return Figure({joint: (x + 10 * at, y, flag) for joint, (x, y, flag) in figure(10, 20).joints.items()})


def video(*told, gone=(), size=6):
    """A track that tells these frames; from those in ``gone`` on nobody is there."""
    skeletons = ""
    for frame in sorted({*told, *gone}):
        points = cvat_points(walk(frame))
        points = points.replace('outside="0"', 'outside="1"') if frame in gone else points
        skeletons += f'<skeleton frame="{frame}" keyframe="1" z_order="0">\n{points}</skeleton>\n'
    extra = f"<size>{size}</size><original_size><width>200</width><height>120</height></original_size>"
    track = f'<track id="0" label="person" source="manual">\n{skeletons}</track>\n'
    return f"<?xml version='1.0' encoding='utf-8'?>\n<annotations>\n{cvat_meta(extra=extra)}{track}</annotations>\n"


def frames(numbers):
    return tuple(Shot(f"frame_{number:06d}.png", (120, 200), (walk(number),)) for number in numbers)


@pytest.mark.parametrize("told_frames", [range(6), (0, 5), (0, 2, 5)])
def test_between_the_frames_of_a_track_joints_move_in_a_straight_line(tmp_path, told_frames):
    found = read(tmp_path, video(*told_frames))
    assert_same_people(people_in(found), as_coco(tmp_path, frames(range(6))))
    assert (found.images.heights == 120).all()


def test_where_all_joints_are_outside_nobody_is_there_until_they_come_back(tmp_path):
    found = people_in(read(tmp_path, video(0, 1, 5, gone=(3,))))
    expected = as_coco(tmp_path, frames((0, 1, 2, 5)))
    assert {name for name, people in found.items() if people} == expected.keys()
    assert_same_people({name: people for name, people in found.items() if people}, expected)


def test_a_videos_pictures_are_found_by_number_and_those_with_nobody_count(tmp_path):
    drawn = {f"images/frame_{number:06d}.PNG": pixels(frames([0])[0]) for number in range(6)}
    images = write_files(tmp_path / "job", drawn) / "images"
    found = read(tmp_path, video(1, gone=(2,)), images=images)
    people = people_in(found)
    assert [len(people[f"frame_{number:06d}.PNG"]) for number in range(6)] == [0, 1, 0, 0, 0, 0]
    packed = {name: data for name, data in drawn.items()} | {"annotations.xml": video(1, gone=(2,)).encode()}
    (tmp_path / "job.zip").write_bytes(zipped(packed))
    whole = read_annotations(tmp_path / "job.zip", JOINTS, strict=False)
    assert [name.rpartition("/")[2] for name in whole.images.file_names] == list(people)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('points="60.00,40.00"', 'points="60.00"'), "the place of 'nose' is '60.00'"),
        (('points="60.00,40.00"', 'points="nan,40.00"'), "the place of 'nose' is 'nan,40.00'"),
        (('<points label="left_eye" source="manual" outside="0" occluded="0" points="100.00,45.00"',) * 2, ""),
        (('"left_eye" source="manual" outside="0" occluded="0" points="100.00,45.00"',
          '"nose" source="manual" outside="0" occluded="0" points="100.00,45.00"'), "joint 'nose' stands there twice"),
        (('"left_eye" source="manual" outside="0" occluded="0" points="100.00,45.00"',
          '"tail" source="manual" outside="0" occluded="0" points="100.00,45.00"'), "joint 'tail' is none of its"),
    ],
)  # fmt: skip
def test_a_wrong_joint_is_told_with_its_line_and_its_person_left_out_alone(tmp_path, change, problem):
    text = cvat_xml(shots())
    assert text.count(change[0]) == 1
    text = text.replace(*change)
    found = read(tmp_path, text)
    expected = as_coco(tmp_path, shots())
    if not problem:
        assert_same_people(people_in(found), expected)
        return
    assert_same_people(people_in(found), expected | {"b.png": []})
    line = 1 + text[: text.index(change[1])].count("\n")
    assert next(each.text for each in without_notes(found)).startswith(f"{tmp_path}/export.xml:{line}: {problem}")


BOMB = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>\n<annotations>&c;</annotations>'
FOREIGN = (
    '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>\n<annotations>&b;</annotations>'
)


@pytest.mark.parametrize("text", [BOMB, FOREIGN])
def test_a_document_type_is_refused_before_anything_of_it_is_read(tmp_path, text):
    assert told(tmp_path, text).startswith(f"{tmp_path}/export.xml:2: it has a document type")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (cvat_xml(shots())[:-30], ": no XML: unclosed token"),
        (cvat_xml(shots()).replace("</image>", "</imago>", 1), ": no XML: mismatched tag"),
        ("<annotations>" + "<a>" * 200, ":1: elements are nested too deeply"),
        (video(0).replace(' frame="0"', ""), "a skeleton of a track has no frame"),
        (cvat_xml(()).replace("<parent>person</parent>", ""), "it has no skeletons"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(tmp_path, text, problem):
    assert problem in told(tmp_path, text)


def test_many_empty_elements_which_pack_to_nothing_are_refused_before_the_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("bodyposenet.common.data.importers.cvat_elements.CVAT_ELEMENTS", 60)
    assert "more than 60 elements, most of them empty" in told(tmp_path, f"<annotations>{'<a/>' * 100}</annotations>")
    text = cvat_xml(shots())
    assert text.count("<") - text.count("</") > 60
    (tmp_path / "sound.xml").write_text(text)
    assert load_document(tmp_path / "sound.xml")["annotations"]


def test_what_is_read_is_said_in_one_line(tmp_path, caplog):
    other = '<skeleton label="dog" source="manual"><points label="tail" points="1,2"></points></skeleton>\n</image>'
    (tmp_path / "a.xml").write_text(cvat_xml(shots()).replace("</image>", other, 1))
    with caplog.at_level("INFO"):
        load_document(tmp_path / "a.xml")
    assert "a.xml: read as CVAT for images 1.1: 3 photos, 4 people; left out, as they are no people: 1 of dog" in (
        caplog.text
    )


def test_frames_of_a_task_that_takes_every_third_are_in_its_steps(tmp_path):
    """Nothing lies between them; and those with nobody are known by the numbers that the task has."""
    steps = "<start_frame>2</start_frame><frame_filter>step=3</frame_filter></task>"
    text = video(2, 8, gone=(11,), size=5).replace("</task>", steps)
    drawn = {f"frame_{number:06d}.png": pixels(frames([0])[0]) for number in (0, 2, 3, 5, 8, 11, 14, 17)}
    found = people_in(read(tmp_path, text, images=write_files(tmp_path / "images", drawn)))
    assert {int(name[6:12]): len(people) for name, people in found.items()} == {2: 1, 5: 1, 8: 1, 11: 0, 14: 0}
    seen = {name: people for name, people in found.items() if people}
    assert_same_people(seen, as_coco(tmp_path, frames((2, 5, 8))))


def test_tracks_of_several_tasks_are_refused_as_their_frames_have_the_same_numbers(tmp_path):
    track = video(0, 1).partition("</meta>")[2].removesuffix("</annotations>\n")
    both = "".join(track.replace('label="person"', f'label="person" task_id="{task}"', 1) for task in (4, 7))
    text = f"<annotations>{cvat_meta()}{both}</annotations>"
    assert "it has tracks of several tasks (4, 7), whose frames have the same numbers; export each" in told(
        tmp_path, text
    )


def test_a_gap_between_frames_that_no_video_has_is_refused(tmp_path):
    text = video(0, 1).replace('frame="1"', 'frame="99999999"')
    assert "more than 1000000 frames between those that the tracks tell; mend it" in told(tmp_path, text)


@pytest.mark.parametrize("size", ["²", "9" * 5000, "0"])
def test_a_size_of_a_video_that_is_none_is_read_from_the_photos(tmp_path, size):
    images = write_files(tmp_path / "images", {"frame_000000.png": pixels(frames([0])[0])})
    text = video(0).replace("<height>120<", f"<height>{size}<").replace("<size>6<", f"<size>{size}<")
    assert read(tmp_path, text, images=images).images.heights.tolist() == [120]


def test_a_rectangle_that_is_turned_gives_the_box_around_it(tmp_path):
    box = '<box label="box" xtl="20" ytl="30" xbr="60" ybr="110" rotation="{}" group_id="3"></box>\n</image>'
    text = cvat_xml(shots()[2:]).replace('<skeleton label="person"', '<skeleton label="person" group_id="3"')
    for angle, expected in ((90, [0, 50, 80, 40]), (360, [20, 30, 40, 80])):
        found = people_in(read(tmp_path, text.replace("</image>", box.format(angle))))
        np.testing.assert_allclose(found["c.png"][0][1], expected, atol=1e-9)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_any_encoding_of_unicode_is_read(tmp_path, encoding):
    path = tmp_path / "export.xml"
    path.write_bytes(cvat_xml(shots()).replace('encoding="utf-8"', "").replace("\n", "\r\n").encode(encoding))
    found = read_annotations(path, JOINTS, strict=False)
    assert_same_people(people_in(found), as_coco(tmp_path, shots()))


def test_one_rectangle_of_a_group_of_several_skeletons_is_nobodys_box(tmp_path):
    box = '<box label="box" occluded="0" xtl="5" ytl="6" xbr="155" ybr="106" group_id="3"></box>\n'
    text = cvat_xml(shots()).replace('<skeleton label="person"', '<skeleton label="person" group_id="3"')
    found = read(tmp_path, text.replace("</image>", f"{box}</image>", 1))
    assert_same_people(people_in(found), as_coco(tmp_path, shots()))
