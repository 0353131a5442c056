"""Counts: what reading and filtering find in COCO's val2017, against pycocotools and plain loops."""

import contextlib
import gzip
import io

import numpy as np
import pytest
from pycocotools.coco import COCO

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.person_filter import choose
from bodyposenet.common.spec.dataset import DataFilteringParams

pytestmark = pytest.mark.data
FILES = ("person_keypoints_val2017", "person_keypoints_val2017_official538")


@pytest.fixture(scope="module", params=FILES)
def sets(request, data_folder, tmp_path_factory):
    """The file as this project and as pycocotools read it."""
    packed = data_folder / f"coco_annotations/{request.param}.json.gz"
    plain = tmp_path_factory.mktemp("val") / "people.json"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    with contextlib.redirect_stdout(io.StringIO()):
        return read_annotations(packed), COCO(str(plain))


def of_interest(people, params):
    """Numbers of a photo's people who are taken, by the rule's own words."""
    taken = []
    for person in people:
        x, y, width, height = person["bbox"]
        known = sum(flag > 0 for flag in person["keypoints"][2::3])
        fit = not person["iscrowd"] and known >= params.min_acceptable_kpts
        if not fit or width < params.min_acceptable_width or height < params.min_acceptable_height:
            continue
        for other in taken:
            u, v, across, down = other["bbox"]
            away = ((x + width / 2 - u - across / 2) ** 2 + (y + height / 2 - v - down / 2) ** 2) ** 0.5
            if away < params.min_acceptable_interperson_dist_ratio * max(across, down):
                break
        else:
            taken.append(person)
    return [person["id"] for person in taken]


def test_photos_people_joints_and_crowds_are_those_of_pycocotools(sets):
    ours, coco = sets
    everyone = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(["person"])))
    labelled = [person for person in everyone if person["num_keypoints"] and not person["iscrowd"]]
    assert set(ours.images.ids.tolist()) == set(coco.getImgIds())
    assert ours.problems == ()
    assert sorted(ours.annotations.ids.tolist()) == sorted(person["id"] for person in everyone)
    assert int(ours.labelled.sum()) == len(labelled)
    assert int(ours.annotations.crowds.sum()) == len(coco.getAnnIds(iscrowd=True))
    shown = np.zeros(3, int)
    for person in everyone:
        shown += np.bincount(person["keypoints"][2::3], minlength=3)
    flags = ours.annotations.keypoints[..., 2].astype(int).ravel()
    assert np.bincount(flags, minlength=3).tolist() == shown.tolist()


def test_the_people_of_interest_are_those_of_a_plain_loop(sets):
    ours, coco = sets
    params = DataFilteringParams()
    wanted = [set(of_interest(coco.loadAnns(coco.getAnnIds(imgIds=[photo])), params)) for photo in coco.getImgIds()]
    mains = choose(ours, params).mains
    assert set(ours.annotations.ids[mains].tolist()) == set().union(*wanted)
    with_people = {int(ours.images.ids[photo]) for photo in ours.annotations.photo_of[mains]}
    assert len(with_people) == sum(map(bool, wanted))
