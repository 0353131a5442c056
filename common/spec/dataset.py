"""Dataset spec: where a dataset's images and annotations are, and which people count."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.spec.base import Bool, Count, Int, Name, NotNegative, PathText, Strict
from bodyposenet.common.spec.document import Loc
from bodyposenet.common.spec.pose_config import Category, has_person, person_of
from bodyposenet.common.spec.problems import MisfitError

Visibility = Literal["visible", "annotatable", "occluded", "truncated", "not_labeled", "not_labeled_in_dataset"]
COCO_WORDS: tuple[tuple[str, Visibility], ...] = (
    ("visible", "visible"),
    ("occluded", "occluded"),
    ("not_labeled", "not_labeled"),
)
SEEN = {"visible": 2, "annotatable": 2, "occluded": 1}


class DataPaths(Strict):
    """One half of a dataset; all three are relative to ``root_directory_path``."""

    images_root_dir_path: PathText
    mask_root_dir_path: PathText
    annotation_root_dir_path: PathText


class VisibilityFlags(Strict):
    """What the third number of a keypoint means.

    Attributes:
        value: The dataset's number for each of its words.
        mapping: What each of its words means here; map ``occluded`` to ``not_labeled`` to leave hidden joints out.
    """

    value: dict[Name, Int] = Field(default_factory=lambda: {"visible": 2, "occluded": 1, "not_labeled": 0})
    mapping: dict[Name, Visibility] = Field(default_factory=lambda: dict(COCO_WORDS))

    @field_validator("mapping")
    @classmethod
    def _maps_every_word(cls, mapping: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        missing: list[tuple[Loc, str]] = [
            ((word,), "missing; 'value' has this key") for word in info.data.get("value", {}) if word not in mapping
        ]
        if missing:
            raise MisfitError(*missing)
        return mapping

    def codes(self) -> dict[int, int]:
        """The dataset's number to this project's flag: 0 not labelled, 1 hidden, 2 visible."""
        return {number: SEEN.get(self.mapping[word], 0) for word, number in self.value.items()}


class DataFilteringParams(Strict):
    """Which people of a picture are worth a training sample of their own.

    Attributes:
        min_acceptable_height: Least height of the box, in pixels.
        min_acceptable_width: Least width of the box, in pixels.
        min_acceptable_kpts: Least number of labelled keypoints.
        min_acceptable_interperson_dist_ratio: Least distance to an accepted person, as a fraction of that one's box.
    """

    min_acceptable_height: NotNegative = 32
    min_acceptable_width: NotNegative = 32
    min_acceptable_kpts: Count = 5
    min_acceptable_interperson_dist_ratio: NotNegative = 0.3


class DatasetSpec(Strict):
    """What ``bpnet dataset_convert`` and ``bpnet evaluate`` read.

    Attributes:
        dataset: Its name; the train spec's ``dataset_specs`` uses the same.
        root_directory_path: Folder of every other path.
        duplicate_data_with_each_person_as_center: A training sample for each main person, not only for the first.
    """

    dataset: Name
    root_directory_path: PathText
    train_data: DataPaths
    test_data: DataPaths
    duplicate_data_with_each_person_as_center: Bool = True
    categories: tuple[Category, ...]
    visibility_flags: VisibilityFlags = VisibilityFlags()
    data_filtering_params: DataFilteringParams = DataFilteringParams()

    _has_person = field_validator("categories")(has_person)

    @property
    def person(self) -> Category:
        """The category of people."""
        return person_of(self.categories)
