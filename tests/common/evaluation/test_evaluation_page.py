"""Evaluation page: what a stranger looks for, in one file that fetches nothing."""

import base64

import cv2
import numpy as np
import pytest
from support.coco_files import JOINTS, image, write_dataset
from support.page import Page
from support.perfect import PerfectRunner, standing

from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.evaluation_page import Looks, write_evaluation_page
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import locate

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

PEOPLE = 14
BOXES = [(20, 20, 90, 210)] * PEOPLE
IMAGES = [image(number, size=(240, 320)) for number in range(1, PEOPLE + 2)]


def run(folder, people, *, blind=()):
    """Evaluate a perfect network, which sees nobody in some photos; the page and the outcome."""
    dataset = write_dataset(folder / "data", IMAGES, people)
    network = PerfectRunner(read_test_set(dataset), shape=(184, 184))
    network.queue = [_blank(photo) if photo.image_id in blind else photo for photo in network.queue]
    done = evaluate(network, parse_spec({"input_shape": [184, 184]}, InferenceSpec), dataset, folder / "out")
    return Page((folder / "out/evaluation.html").read_text()), done


def _blank(photo):
    return type(photo)(photo.image_id, photo.file_name, photo.height, photo.width, ())


def test_it_shows_figures_curves_joints_and_the_best_and_worst_photos(tmp_path):
    people = [standing(number, number, box) for number, box in enumerate(BOXES, 1)]
    page, done = run(tmp_path, people, blind=(4, 9))
    text = " ".join(page.text)
    assert f"{done.ap:.3f}" in text
    assert done.summary() in text
    assert "false positives a photo" in text
    said = {each["class"].split()[1]: each["aria-label"] for each in page.charts()}
    assert list(said) == ["bars", "lines", "shares"]
    assert f"all {done.metrics['AP_0.50:0.95_all']:.3f}" in said["bars"]
    assert "OKS .50 from 1 to 0" in said["lines"]  # two of fourteen are never found
    assert all(f"{joint} good" in said["shares"] for joint in JOINTS)
    captions = [each["alt"] for each in page.all("img")]
    assert captions[:2] == ["004.png: OKS 0.00, 0 found, 1 labelled", "009.png: OKS 0.00, 0 found, 1 labelled"]
    assert len(captions) == len(set(captions)) == 12  # the six worst and the six best of fourteen, each once
    for each in page.all("img"):
        data = base64.b64decode(each["src"].removeprefix("data:image/jpeg;base64,"))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape == (240, 320, 3)
    assert not any("//" in str(value) for _, given in page.found for key, value in given.items() if key != "src")


def test_photos_in_which_nobody_was_found_have_a_page_without_joints(tmp_path):
    page, done = run(tmp_path, [standing(1, 1, BOXES[0])], blind=(1,))
    assert done.ap == 0
    assert "Joints" not in page.text
    assert [each["alt"] for each in page.all("img")] == ["001.png: OKS 0.00, 0 found, 1 labelled"]


def test_a_photo_that_is_gone_by_then_is_left_out(tmp_path):
    def find_none(photo):
        raise UserError("is gone", where=photo.file_name, fix="bring it back")

    _, done = run(tmp_path, [standing(1, 1, BOXES[0])])
    photo = read_test_set(write_dataset(tmp_path / "data", IMAGES, [standing(1, 1, BOXES[0])])).photos[0]
    looks = Looks([(photo, People(np.zeros((0, 18, 3)), np.zeros(0)))], find_none, BODYPOSENET_18)
    write_evaluation_page(locate(tmp_path / "page.html"), done, looks, {"Made from": "<photos>"})
    page = Page((tmp_path / "page.html").read_text())
    assert page.all("img") == []
    assert "Worst photos" not in page.text
    assert "<photos>" in page.text
