"""Suspects page: each suspect with its part of the photo, what is wrong in words, and nothing outside the file."""

import base64
import re

import cv2
import numpy as np
import pytest
from support.coco_files import JOINTS, document, image, write_annotations
from support.page import Page
from support.perfect import standing
from support.seeded_errors import shift, swap, triplets

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.report.dataset_report import set_skeleton
from bodyposenet.common.data.report.suspect_pictures import draw_suspect, show_suspects
from bodyposenet.common.data.report.suspects_page import MOST, judge_suspects, write_suspects_page
from bodyposenet.common.data.suspects.find import find_by_geometry
from bodyposenet.common.data.suspects.suspect import MISSING, SWAPPED, WORDS, Suspect
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.location import locate

SKELETON = set_skeleton(JOINTS)
IMAGES = [image(7, size=(400, 500), name="<seven>.png"), image(3, size=(400, 500))]
FIRST, SECOND = standing(1, 7, (20, 20, 120, 300)), standing(2, 7, (250, 30, 130, 310))
OTHER = standing(3, 3, (60, 30, 90, 220))


def read_grey(name):
    return cv2.imencode(".png", np.full((400, 500, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
def find(tmp_path):
    def run(labels):
        coco = read_annotations(write_annotations(tmp_path / "people.json", document(IMAGES, labels)))
        return coco, find_by_geometry(coco)

    return run


def decode(shot):
    image = cv2.imdecode(np.frombuffer(base64.b64decode(shot.jpeg), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape[:2] == (shot.height, shot.width)
    return image.astype(int)


def count_colours(image):
    """Pixels that are warm, and those that are cool."""
    return int((image[..., 0] > image[..., 2] + 60).sum()), int((image[..., 2] > image[..., 0] + 60).sum())


def test_the_page_shows_all_kinds_in_words_with_pictures_and_stands_alone(find, tmp_path):
    coco, suspects = find([swap(FIRST), SECOND, shift(SECOND, 9, 3), OTHER | {"bbox": [0, 0, 490, 399]}])
    joints = np.add(triplets(OTHER), [200, 0, 0])
    suspects.append(Suspect(coco.photos[1], None, MISSING, 0.1, "somebody <i>was</i> found", joints))
    path = write_suspects_page(
        locate(tmp_path / "s.html"), suspects, SKELETON, read_grey, people=4, facts={"Annotations": "<b>.json"}
    )
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    told = " ".join(page.text)
    assert "4 labels of 4 people are likely wrong; the likeliest come first." in told
    for kind in ("swapped", "doubled", "missing", "box"):
        assert WORDS[kind] in told
    for one in suspects:
        assert one.reason in told
    assert "<seven>.png, image 7, annotation 1; score" in told
    assert "<b>.json" in told
    assert len(page.all("img")) == 7  # of somebody who was missed there is no label
    assert page.all("script") == page.all("link") == []
    assert not re.search(r"https?://|@import|url\(", text)


def test_a_swapped_label_has_its_colours_exchanged_in_the_proposal(find):
    _, (one,) = find([swap(FIRST)])
    given, proposed = map(decode, draw_suspect(read_grey(""), one, SKELETON))
    half = given.shape[1] // 2
    warm, cool = count_colours(given[:, half:])
    assert cool > 3 * warm  # the label says that the right side is on the viewer's right
    warm, cool = count_colours(proposed[:, half:])
    assert warm > 3 * cool


def test_joints_of_another_person_have_rings_and_are_gone_in_the_proposal(find):
    own = triplets(FIRST)
    own[[7, 9]] = triplets(SECOND)[[7, 9]]
    _, (one,) = find([FIRST | {"keypoints": own.ravel().tolist()}, SECOND])
    given, proposed = map(decode, draw_suspect(read_grey(""), one, SKELETON))
    magenta = [((each[..., 0] > 180) & (each[..., 1] < 90) & (each[..., 2] > 90)).sum() for each in (given, proposed)]
    assert magenta[0] > 20
    assert magenta[1] < magenta[0] / 5


def test_small_people_are_shown_large_and_the_part_stays_inside_the_photo(find):
    small = standing(1, 7, (470, 370, 20, 26))
    _, (one,) = find([swap(small)])
    (shot, _) = draw_suspect(read_grey(""), one, SKELETON)
    assert 150 <= max(shot.height, shot.width) <= 280


def test_suspects_of_photos_that_cannot_be_read_are_told_without_pictures_and_a_line_says_so(find, caplog):
    caplog.set_level("INFO")
    _, suspects = find([swap(FIRST), swap(OTHER)])
    asked = []

    def gone(name):
        asked.append(name)
        raise UserError("gone")

    def away(name):
        asked.append(name)
        raise AwayError("no answer")

    assert [one["shots"] for one in show_suspects(suspects, SKELETON, gone)] == [[], []]
    assert len(asked) == 2
    assert caplog.messages[-1] == "2 suspects of 2 shown without a picture: gone"
    assert [one["shots"] for one in show_suspects(suspects, SKELETON, away)] == [[], []]
    assert len(asked) == 3
    assert caplog.messages[-1] == "2 suspects of 2 shown without a picture: no answer"


def test_the_page_shows_the_first_and_counts_the_others(find, tmp_path):
    _, (one,) = find([swap(FIRST)])
    path = write_suspects_page(
        locate(tmp_path / "s.html"), [one] * (MOST + 5), SKELETON, read_grey, people=900, facts={}
    )
    assert "5 more are in suspects.csv" in " ".join(Page(path.read_text(encoding="utf-8")).text)


def test_the_verdict_counts_and_asks_what_left_means_where_all_is_swapped(find):
    _, (one,) = find([swap(FIRST)])
    assert judge_suspects([], 0) == "Nobody is labelled."
    assert judge_suspects([], 5) == "None of 5 labels looks wrong."
    assert judge_suspects([one], 1) == "1 label of 1 person is likely wrong; the likeliest come first."
    assert one.kind == SWAPPED
    assert judge_suspects([one] * 25, 40).endswith("left may mean the viewer's left in this set.")
