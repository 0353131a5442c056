"""Truth: the test half of a dataset, as the people that are to be found."""

from collections.abc import Sequence
from pathlib import Path

from bodyposenet.common.data.annotations.coco import CocoSet, read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import Skeleton, sigma_of
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.files import joined


def read_test_set(dataset: DatasetSpec) -> CocoSet:
    """Read a dataset's test annotations; visibility flags are 0, 1 or 2 whatever the dataset's own are.

    Raises:
        UserError: The file is missing or wrong.
    """
    path = joined(dataset.root_directory_path, dataset.test_data.annotation_root_dir_path)
    codes = dataset.visibility_flags.codes()
    truth = read_annotations(path, dataset.people, flags=codes)
    if all(number == code for number, code in codes.items()):
        return truth
    return truth.recoded(codes)


def images_folder(dataset: DatasetSpec) -> Path:
    """The folder of the test photos."""
    return joined(dataset.root_directory_path, dataset.test_data.images_root_dir_path)


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
    """OKS spread of each of the annotations' joints: the skeleton's, or that of COCO by the name of the joint."""
    own = dict(zip(skeleton.joints, skeleton.sigmas, strict=True))
    return [own.get(joint, sigma_of(joint)) for joint in joints]
