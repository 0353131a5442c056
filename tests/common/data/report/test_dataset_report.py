"""Dataset report: counts that can be counted otherwise, pictures that show who is who, a page that stands alone."""

import base64
import json
import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coco_files import annotation, category, dataset_spec, document, image, write_annotations, write_dataset
from support.page import Page, read_chart

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.person_filter import choose, main_people
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.report import dataset_pictures as pictures
from bodyposenet.common.data.report.dataset_report import report_dataset, set_skeleton, write_report
from bodyposenet.common.data.report.dataset_summary import describe
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.pages import histograms as charts
from bodyposenet.common.spec.dataset import DataFilteringParams

PARAMS = DataFilteringParams()
IMAGES = [image(1), image(2), image(3), image(4, size=(200, 400))]
ANNOTATIONS = [
    annotation(10, 1, (10, 10, 60, 100)),
    annotation(11, 1, (90, 10, 60, 100), labelled=3),
    annotation(12, 1, (0, 0, 20, 20), labelled=0),
    annotation(20, 2, (5, 5, 10, 80)),
    annotation(21, 2, (40, 5, 50, 20)),
    annotation(22, 2, (100, 5, 50, 50), labelled=0, iscrowd=1, keypoints=[0] * 51),
    annotation(40, 4, (10, 10, 100, 180)),
    annotation(41, 4, (12, 12, 100, 180), labelled=8),
]


def read(tmp_path, images=IMAGES, annotations=ANNOTATIONS):
    return read_annotations(write_annotations(tmp_path / "people.json", document(images, annotations)))


def described(coco, problems=(), params=PARAMS):
    return describe(coco, choose(coco, params), problems, params)


def page_of(folder, said, drawn=(), **options):
    return Page(write_report(folder, said, drawn, **options).read_text(encoding="utf-8"))


def test_the_counts_of_a_small_set(tmp_path):
    said = described(read(tmp_path))
    assert said["counts"] == {
        "photos": 4, "photos_without_annotations": 1, "photos_with_people": 3, "photos_of_interest": 2,
        "annotations": 8, "people": 6, "of_interest": 2, "crowds": 1, "people_without_keypoints": 1,
        "joints_visible": 17 * 4 + 3 + 8, "joints_hidden": 0, "joints_unlabelled": 14 + 9, "problems": 0,
    }  # fmt: skip
    assert said["people_per_photo"] == [1, 0, 3]
    assert {entry["reason"]: entry["people"] for entry in said["filtered"]} == {
        "of interest": 2, "crowd": 1, "no keypoints": 1, "few keypoints": 1, "low": 1, "narrow": 1, "beside another": 1,
    }  # fmt: skip
    assert said["joints"][5] == {"name": "left_shoulder", "visible": 5, "hidden": 0, "unlabelled": 1}
    joints = said["joints_per_person"]
    assert [joints["others"][n] for n in (0, 3, 8, 17)] == [1, 1, 1, 2]
    assert joints["of_interest"][17] == 2
    pixels = said["heights_px"]
    assert dict(zip(pixels["from"], pixels["of_interest"], strict=True))[96] == 1
    assert dict(zip(pixels["from"], pixels["of_interest"], strict=True))[128] == 1
    assert said["heights_of_image"]["of_interest"] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]  # 100 of 120, and 180 of 200


@pytest.mark.data
def test_the_counts_of_coco_photos_are_those_of_its_people_one_by_one(data_folder):
    coco = read_annotations(data_folder / "coco_sample/annotations/person_keypoints_val.json")
    said = described(coco)
    people = [(photo, person) for photo in coco.photos for person in photo.people]
    labelled = [person for _, person in people if person.labelled]
    mains = sum(len(main_people(photo, PARAMS)) for photo in coco.photos)
    assert said["counts"]["people"] == len(labelled) == 113
    assert said["counts"]["of_interest"] == said["filtered"][0]["people"] == mains
    assert said["counts"]["joints_hidden"] == sum(int((person.keypoints[:, 2] == 1).sum()) for person in labelled)
    assert sum(entry["people"] for entry in said["filtered"]) == said["counts"]["annotations"] == len(people)
    for name in ("heights_px", "heights_of_image"):
        assert sum(said[name]["of_interest"]) == mains
        assert sum(said[name]["of_interest"]) + sum(said[name]["others"]) == len(labelled)
    assert sum(said["people_per_photo"]) == len(coco.photos)
    for joint, column in zip(said["joints"], range(17), strict=True):
        flags = [int(person.keypoints[column, 2]) for person in labelled]
        assert [joint["unlabelled"], joint["hidden"], joint["visible"]] == [flags.count(flag) for flag in (0, 1, 2)]


def test_problems_are_counted_by_kind_and_the_first_of_each_are_told(tmp_path):
    problems = [Problem("a.json", "bbox", f"'bbox' is {number}", "mend it", number) for number in range(30)]
    problems += [Problem("a.json", "photo", "missing", "", 7, kept=True)]
    box, photo = described(read(tmp_path), problems[::-1])["problems"]
    assert (box["kind"], box["count"], box["left_out"], len(box["examples"])) == ("bbox", 30, 30, 20)
    assert box["examples"][0] == "a.json: image 29: 'bbox' is 29; mend it"
    assert (photo["kind"], photo["count"], photo["left_out"]) == ("photo", 1, 0)


def test_the_page_and_the_data_say_the_same(tmp_path):
    said = described(read(tmp_path), [Problem("<a>.json", "<b>bbox</b>", "'bbox' is \"<img>\"")])
    page = page_of(tmp_path, said, title="Dataset <mine>")
    assert json.loads((tmp_path / "dataset_report.json").read_text()) == said
    assert "Dataset <mine>" in page.text
    assert "<b>bbox</b>" in page.text
    assert "<a>.json: 'bbox' is \"<img>\"" in page.text
    assert page.all("img") == page.all("script") == page.all("link") == []
    text = " ".join(page.text)
    assert "4 photos show 6 people with keypoints; 2 of them are of interest and get training samples." in text
    for entry in said["filtered"]:
        assert f"{entry['reason']} {entry['asked']}".strip() in text
    assert "People by labelled joints: 1 0, 2 0, 3 1," in " ".join(svg.get("aria-label", "") for svg in page.all("svg"))
    assert not re.search(r"https?://|@import|url\(", (tmp_path / "dataset_report.html").read_text())


@pytest.mark.parametrize(
    ("images", "annotations", "words"),
    [
        ([], [], "0 photos without a single annotation: there is nothing to learn from."),
        ([image(1)], [], "1 photo without a single annotation: there is nothing to learn from."),
        ([image(1)], [annotation(1, 1, (0, 0, 60, 90))], "1 photo shows 1 person with keypoints; 1 of them"),
        ([image(1)], [annotation(1, 1, (0, 0, 9, 9))], "1 photo shows 1 person with keypoints; nobody is of interest"),
        ([image(1)], [annotation(1, 1, (0, 0, 9, 9), labelled=0)], "shows 0 people with keypoints; nobody"),
    ],
)
def test_sets_with_next_to_nothing_have_a_report_too(tmp_path, images, annotations, words):
    write_dataset(tmp_path, images, annotations)
    coco = read_annotations(tmp_path / "annotations/people.json", category()["keypoints"])
    path = report_dataset(
        tmp_path / "out", coco, choose(coco, PARAMS), [], spec=dataset_spec(tmp_path),
        read=lambda name: (tmp_path / "images" / name).read_bytes(),
    )  # fmt: skip
    page = Page(path.read_text(encoding="utf-8"))
    assert words in " ".join(page.text)
    assert len(page.all("img")) == bool(annotations)
    assert not {"nan", "None"} & set(page.text)


def test_a_custom_skeleton_has_its_own_joints_flags_and_limbs(tmp_path):
    tail = category() | {"num_joints": 3, "keypoints": ["tip", "mid <b>", "root"], "skeleton": [[1, 2], [2, 3]]}
    spec = dataset_spec(
        tmp_path, categories=[tail | {"skeleton_edge_names": None}],
        visibility_flags={
            "value": {"seen": 7, "guessed": 5, "no": 0},
            "mapping": {"seen": "visible", "guessed": "occluded", "no": "not_labeled"},
        },
    )  # fmt: skip
    animal = annotation(1, 1, (20, 20, 100, 60)) | {"keypoints": [30, 60, 7, 80, 60, 5, 0, 0, 0]}
    content = document([image(1)], [animal]) | {"categories": [tail]}
    coco = read_annotations(
        write_annotations(tmp_path / "tails.json", content), tail["keypoints"], flags=spec.visibility_flags.codes()
    )
    grey = cv2.imencode(".png", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    choice = choose(coco, DataFilteringParams(min_acceptable_kpts=2))
    page = Page(report_dataset(tmp_path, coco, choice, [], spec=spec, read=lambda _: grey).read_text())
    said = json.loads((tmp_path / "dataset_report.json").read_text())
    assert [list(joint.values()) for joint in said["joints"]] == [
        ["tip", 1, 0, 0],
        ["mid <b>", 0, 1, 0],
        ["root", 0, 0, 1],
    ]
    assert "mid <b>" in page.text
    drawn = decoded(base64.b64decode(page.all("img")[0]["src"].partition(",")[2]))
    assert spread_of(drawn[60, 55]) > 60  # the limb between the joints at x 30 and 80
    assert spread_of(drawn[60, 100]) < 30
    assert drawn[60, 80].max() < 70 < 170 < drawn[60, 30].min()  # the hidden joint's centre is dark, the other's white


def test_limbs_are_those_named_or_coco_s():
    assert set_skeleton(["c", "a", "b"], [("a", "b"), ("a", "b"), ("b", "z")]).limbs == ((1, 2),)
    assert set_skeleton(["left_hip", "left_knee", "tail"]).limbs == ((1, 0),)


def spread_of(pixel):
    """How far from grey."""
    return int(pixel.max()) - int(pixel.min())


def decoded(jpeg):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def grey_photo(photo):
    return cv2.imencode(".png", np.full((photo.height, photo.width, 3), 90, np.uint8))[1].tobytes()


def test_main_people_other_people_and_masked_regions_look_different(tmp_path):
    upright = {"left_knee": (60, 60), "left_ankle": (60, 140), "right_knee": (200, 60), "right_ankle": (200, 140)}
    points = np.zeros((2, 17, 3))
    joints = category()["keypoints"]
    for name, place in upright.items():
        points[int("right" in name), joints.index(name)] = [*place, 2]
    people = [
        annotation(n + 1, 1, box, labelled=2, keypoints=points[n].ravel().tolist())
        for n, box in enumerate([(20, 20, 80, 160), (160, 20, 80, 160)])
    ]
    people.append(annotation(3, 1, (280, 20, 80, 160), labelled=0))
    (photo,) = read(tmp_path, [image(1, size=(200, 400))], people).photos
    drawn = decoded(pictures.picture(grey_photo(photo), photo, [0], set_skeleton(joints)))
    assert spread_of(drawn[100, 60]) > 100  # the left shin of the person of interest
    assert spread_of(drawn[100, 200]) < 40  # the other's: grey
    assert drawn[100, 200].min() > 130
    region = drawn[30:170, 290:350].reshape(-1, 3).astype(int)
    assert (region[:, 0] > region[:, 1] + 20).mean() > 0.95  # magenta
    assert region[:, 0].std() > 10  # in stripes
    assert drawn[100, 20].min() > 200  # the box of the person of interest is white
    assert spread_of(drawn[100, 130]) <= 3  # nobody
    assert abs(int(drawn[100, 130, 0]) - 90) <= 3


def test_pictures_are_made_small_with_their_labels(tmp_path):
    people = [annotation(1, 1, (0, 0, 1600, 2400))]
    (photo,) = read(tmp_path, [image(1, size=(2400, 1600))], people).photos
    drawn = decoded(pictures.picture(grey_photo(photo), photo, [0], set_skeleton(category()["keypoints"])))
    assert drawn.shape == (640, 427, 3)
    diagonal = [drawn[row, round(row * 427 / 640)] for row in range(20, 620)]  # where the joints are
    assert np.mean([spread_of(pixel) > 60 for pixel in diagonal]) > 0.3
    assert spread_of(drawn[600, 100]) < 5


@pytest.mark.parametrize("data", [b"", b"no image", cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()])
def test_a_photo_that_does_not_fit_its_annotations_is_not_drawn(tmp_path, data):
    photo = read(tmp_path).photos[0]
    with pytest.raises(UserError, match=r"001\.png: (no image of the size annotated|is no readable image|is empty)"):
        pictures.picture(data, photo, [], set_skeleton(["nose"] * 17))


def test_an_outline_that_is_broken_does_not_stop_a_picture(tmp_path):
    broken = annotation(1, 1, (10, 10, 50, 50), labelled=0, segmentation={"size": [9, 9], "counts": [81]})
    (photo,) = read(tmp_path, [image(1)], [broken]).photos
    drawn = decoded(pictures.picture(grey_photo(photo), photo, [], set_skeleton(category()["keypoints"])))
    assert spread_of(drawn[30, 30]) > 30  # the box is masked instead


def crowded_set(tmp_path):
    """Sixty photos of one to six people, each photo's people of a size of its own."""
    images = [image(number) for number in range(1, 61)]
    people = [
        annotation(100 * number + person, number, (2 * person, 1, 35, 33 + number))
        for number in range(1, 61)
        for person in range(1 + number % 6)
    ]
    people += [annotation(9000 + number, number, (0, 0, 9, 9), labelled=0) for number in range(1, 61, 7)]
    return read(tmp_path, images, people)


def test_the_nine_are_different_photos_with_few_and_many_small_and_large_people(tmp_path):
    coco = crowded_set(tmp_path)
    kinds = pictures.diverse(coco)
    assert kinds == pictures.diverse(coco)
    assert sorted(number for kind in kinds for number in kind) == list(range(60))
    chosen = [coco.photos[kind[0]] for kind in kinds]
    people = [sum(person.labelled for person in photo.people) for photo in chosen]
    assert max(people[:3]) <= min(people[3:6]) <= max(people[3:6]) <= min(people[6:])
    heights = [photo.people[0].box[3] for photo in chosen]
    assert all(
        small < middle < large for small, middle, large in zip(heights[::3], heights[1::3], heights[2::3], strict=True)
    )
    masked = [any(not person.labelled for person in photo.people) for photo in chosen]
    assert all(masked[1::2])


def test_photos_that_cannot_be_read_give_way_to_their_like(tmp_path):
    coco = crowded_set(tmp_path)
    typical = {coco.photos[kind[0]].file_name for kind in pictures.diverse(coco)}
    photos = {photo.file_name: photo for photo in coco.photos}

    def fetch(name):
        if name in typical:
            raise UserError("gone")
        return grey_photo(photos[name])

    drawn = pictures.sample_pictures(coco, choose(coco, PARAMS), fetch, set_skeleton(coco.joints))
    names = {text.partition(":")[0] for text, _ in drawn}
    assert len(drawn) == len(names) == 9
    assert not names & typical


def test_a_server_that_is_away_is_asked_once(tmp_path):
    coco, asked = crowded_set(tmp_path), []

    def away(name):
        asked.append(name)
        raise AwayError("no answer")

    assert pictures.sample_pictures(coco, choose(coco, PARAMS), away, set_skeleton(coco.joints)) == []
    assert len(asked) == 1


def test_captions_count(tmp_path):
    photo = read(tmp_path).photos[0]
    assert pictures.caption(photo, [0]) == "001.png: 2 people, 1 of interest"


@pytest.mark.parametrize("drawn_for", ["wide", "narrow"])
def test_columns_are_stacked_to_scale(drawn_for):
    parts = {"of interest": [10, 4], "others": [10, 0]}
    svg = read_chart(charts.histogram("People", ["a", "b"], parts, x_name="kind"), drawn_for)
    room = charts.HEIGHT - charts.TOP - charts.BOTTOM
    bars = [(bar.get("class"), float(bar.get("y")), float(bar.get("height"))) for bar in svg.iter("rect")][2:]
    floor = charts.HEIGHT - charts.BOTTOM
    assert bars == [
        ("p0", floor - room / 2, room / 2), ("p1", floor - room, room / 2),
        ("p0", floor - room / 5, room / 5), ("p1", floor - room / 5, 0),
    ]  # fmt: skip
    assert svg.get("aria-label") == "People by kind: a 20, b 4"
    assert {"a", "b", "20", "4"} <= {text.text for text in svg.iter("text")}


def test_names_without_room_are_left_out():
    names = [f"{100 * n}-{100 * n + 99}" for n in range(1, 17)]
    for room, every in (("wide", 4), ("narrow", 5)):
        svg = read_chart(charts.histogram("People", names, {"p": [1] * 16}, x_name="n"), room)
        assert [text.text for text in svg.iter("text") if text.text in names] == names[::every]


@pytest.mark.parametrize("room", ["wide", "narrow"])
@pytest.mark.parametrize(("count", "upright"), [(7, False), (123_456, True)])
def test_figures_wider_than_their_columns_stand_upright_below_the_legend(room, count, upright):
    names = [str(n) for n in range(charts.MOST_COLUMNS)]
    svg = read_chart(charts.histogram("People", names, {"p": [count] * len(names)}, x_name="n"), room)
    sums = [text.get("transform") for text in svg.iter("text") if text.text == charts.short(count)]
    if not upright:
        assert sums[-len(names) :] == [None] * len(names)
        return
    feet = [float(re.fullmatch(r"translate\([\d.]+ ([\d.]+)\) rotate\(-90\)", each)[1]) for each in sums]
    assert len(feet) == len(names)
    assert min(feet) - charts.FIGURE * len(charts.short(count)) >= 16


@given(most=st.integers(1, 2000))
def test_groups_hold_every_number_once_in_a_chart_s_columns(most):
    groups = charts.make_groups(most)
    assert [number for group in groups for number in group] == list(range(1, most + 1))
    assert len(groups) <= charts.MOST_COLUMNS
    assert len({len(group) for group in groups[:-1]}) <= 1


@given(counts=st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_a_divided_bar_is_full_or_empty(counts):
    bar = ElementTree.fromstring(charts.shares([("p", count) for count in counts]))
    assert sum(float(part.get("width")) for part in bar) == pytest.approx(100 if any(counts) else 0, abs=0.1)


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(0, "0"), (999, "999"), (1000, "1k"), (1500, "1.5k"), (149_813, "150k"), (999_999, "1M"), (2_040_000, "2.04M")],
)
def test_large_sums_are_written_short(count, wanted):
    assert charts.short(count) == wanted


@pytest.mark.data
def test_the_report_of_coco_photos_shows_nine_of_them(data_folder, tmp_path):
    root = data_folder / "coco_sample"
    coco = read_annotations(root / "annotations/person_keypoints_train.json")
    spec = dataset_spec(root)
    paths = [
        report_dataset(
            tmp_path / name, coco, choose(coco, PARAMS), [], spec=spec,
            read=lambda file: (root / "images" / file).read_bytes(),
        )
        for name in "ab"
    ]  # fmt: skip
    assert paths[0].read_bytes() == paths[1].read_bytes()
    page = Page(paths[0].read_text(encoding="utf-8"))
    assert len({picture["alt"] for picture in page.all("img")}) == 9
    assert len(paths[0].read_bytes()) < 2_000_000
