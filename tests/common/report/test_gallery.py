"""Gallery: a page of pictures that is one file, shows anywhere and is never too large."""

import base64

import cv2
import numpy as np
import pytest
from support.page import Page
from support.person_net import BRIGHT, IN_PHOTO

from bodyposenet.common.pose.people import People
from bodyposenet.common.report.gallery import LARGEST_PAGE, Gallery, Section, draw, write_gallery
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18


def noise(number, height=480, width=640):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def shown(page):
    """Height and width of each picture of a page."""
    codes = [picture["src"].removeprefix("data:image/jpeg;base64,") for picture in page.all("img")]
    return [cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), 1).shape[:2] for code in codes]


@pytest.mark.parametrize("number", [1, 24, 60])
def test_the_page_has_all_pictures_and_at_most_2_mb_whatever_they_are(tmp_path, number):
    section = Section("Most people", "Why.", [(f"{one}.jpg", noise(one)) for one in range(number)])
    file = write_gallery(tmp_path / "page", Gallery("People", "Found.", sections=[section]))
    assert file.stat().st_size <= LARGEST_PAGE == 2_000_000
    page = Page(file.read_text())
    assert [picture["alt"] for picture in page.all("img")] == [f"{one}.jpg" for one in range(number)]
    assert shown(page) == [(int(each["height"]), int(each["width"])) for each in page.all("img")]
    assert all(height * 4 == width * 3 for height, width in shown(page))


def test_few_pictures_are_large_and_none_is_made_larger(tmp_path):
    pictures = [("large", noise(1, 1200, 900)), ("small", noise(2, 60, 80)), ("line", noise(3, 1, 700))]
    file = write_gallery(tmp_path / "page", Gallery("People", "Found.", sections=[Section("A", "B", pictures)]))
    assert shown(Page(file.read_text())) == [(640, 480), (60, 80), (1, 640)]


def test_the_page_needs_nothing_outside_of_it(tmp_path):
    section = Section("Most people", "Why.", [("one", noise(1))])
    page = Page(write_gallery(tmp_path / "page", Gallery("People", "Found.", sections=[section])).read_text())
    assert all(picture["src"].startswith("data:") for picture in page.all("img"))
    assert not page.all("script") + page.all("link") + page.all("iframe")


def test_file_names_cannot_break_the_page(tmp_path):
    name = "<script>alert(1)</script>\udce9.jpg"
    section = Section("Most people", "Why.", [(name, noise(1))])
    gallery = Gallery("People", name, sections=[section], problems=[name], unreadable=1, facts={"photos": name})
    page = Page(write_gallery(tmp_path / "page", gallery).read_text(encoding="utf-8"))
    assert not page.all("script")
    assert page.text.count("<script>alert(1)</script>?.jpg") == 4


def test_photos_that_could_not_be_used_are_listed_and_the_rest_of_them_counted(tmp_path):
    gallery = Gallery("People", "Found.", problems=["a.jpg: " + "x" * 9000, "b.jpg: is none"], unreadable=1234)
    file = write_gallery(tmp_path / "page", gallery)
    text = Page(file.read_text()).text
    assert "b.jpg: is none" in text
    assert "The first 2 of 1,234; all are in detections.json." in text
    assert file.stat().st_size < 20_000


def test_people_are_drawn_where_they_are_however_large_the_photo(tmp_path):
    keypoints = np.concatenate([IN_PHOTO, np.ones((18, 1))], axis=1)[None].astype(np.float32)
    large = np.full((2560, 2560, 3), 255, np.uint8)
    keypoints_large = keypoints * (10, 10, 1)
    small = draw(BRIGHT, People(keypoints, np.ones(1, np.float32)), BODYPOSENET_18)
    fitted = draw(large, People(keypoints_large, np.ones(1, np.float32)), BODYPOSENET_18)
    assert (small.shape, fitted.shape) == ((256, 256, 3), (640, 640, 3))
    for picture in (small, fitted):
        rows, columns = np.nonzero((picture != 255).any(axis=-1))
        found = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) / len(picture)
        wanted = np.concatenate([IN_PHOTO.min(axis=0), IN_PHOTO.max(axis=0)]) / 256
        np.testing.assert_allclose(found, wanted, atol=0.03)
