"""Body prior: the build of the people in a dataset, for the skeleton that decoding goes by."""

from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.annotations.emptiness import require_people
from bodyposenet.common.pose.body_prior import fit_prior
from bodyposenet.common.skeleton.prior import BodyPrior
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.dataset import DatasetSpec


def fit_dataset_prior(dataset: DatasetSpec, skeleton: Skeleton) -> tuple[BodyPrior, int]:
    """Fit a skeleton's prior to a dataset's training half.

    Args:
        dataset: Its training annotations are read, no photo.
        skeleton: Whose prior it is to be.

    Returns:
        The prior, and how many people were read.

    Raises:
        UserError: The annotations cannot be used, or show too few people.
    """
    truth = read_half(dataset, "train", coded=True)
    require_people(truth)
    people = truth.annotations.keypoints[truth.labelled]
    return fit_prior(skeleton.take(truth.joints, people), skeleton), len(people)
