"""Truth: the test half of a dataset, as the people that are to be found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bodyposenet.common.data.coco import CocoSet, Person, Photo, read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton import COCO_17, Skeleton, sigma_of
from bodyposenet.common.spec.dataset import DatasetSpec


def read_test_set(dataset: DatasetSpec) -> CocoSet:
    """Read a dataset's test annotations; visibility flags are 0, 1 or 2 whatever the dataset's own are.

    Raises:
        UserError: The file is missing or wrong.
    """
    path = Path(dataset.root_directory_path) / dataset.test_data.annotation_root_dir_path
    truth = read_annotations(path, dataset.person.keypoints)
    codes = dataset.visibility_flags.codes()
    if all(number == code for number, code in codes.items()):
        return truth
    return replace(truth, photos=tuple(_with_flags(photo, codes) for photo in truth.photos))


def images_folder(dataset: DatasetSpec) -> Path:
    """The folder of the test photos."""
    return Path(dataset.root_directory_path) / dataset.test_data.images_root_dir_path


def require_common_joints(truth: CocoSet, skeleton: Skeleton) -> None:
    """Refuse a network that knows none of the annotations' joints.

    Raises:
        UserError: It does not.
    """
    if not set(truth.joints) & set(skeleton.joints):
        raise UserError(
            f"the network's joints ({', '.join(skeleton.joints[:3])}, …) are none of the annotations'",
            where=str(truth.path),
            fix="evaluate on a dataset with the joints that the network was trained on",
        )


def sigmas_for(joints: Sequence[str], skeleton: Skeleton) -> list[float]:
    """OKS spread of each of the annotations' joints: COCO's for COCO's 17, else the skeleton's where it has them."""
    own = {} if tuple(joints) == COCO_17.joints else dict(zip(skeleton.joints, skeleton.sigmas, strict=True))
    return [own.get(joint, sigma_of(joint)) for joint in joints]


def _with_flags(photo: Photo, codes: Mapping[int, int]) -> Photo:
    return replace(photo, people=tuple(_recoded(person, codes) for person in photo.people))


def _recoded(person: Person, codes: Mapping[int, int]) -> Person:
    keypoints = person.keypoints.copy()
    keypoints[:, 2] = [codes.get(int(flag), 0) for flag in keypoints[:, 2]]
    return replace(person, keypoints=keypoints, num_keypoints=int(np.count_nonzero(keypoints[:, 2])))
