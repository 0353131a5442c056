"""Dataset spec: where a dataset's images and annotations are, and which people count."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bodyposenet.common.spec.base import Bool, Count, Int, Name, NotNegative, PathText, Strict
from bodyposenet.common.spec.document import Loc
from bodyposenet.common.spec.pose_config import Category, find_person, lack_of_person
from bodyposenet.common.spec.problems import BESIDE, SpecMisfitError, did_you_mean
from bodyposenet.common.spec.split import SplitRule
from bodyposenet.common.storage.location import Location, join

Visibility = Literal["visible", "annotatable", "occluded", "truncated", "not_labeled", "not_labeled_in_dataset"]
COCO_WORDS: tuple[tuple[str, Visibility], ...] = (
    ("visible", "visible"),
    ("occluded", "occluded"),
    ("not_labeled", "not_labeled"),
)
SEEN = {"visible": 2, "annotatable": 2, "occluded": 1}


class DataPaths(Strict):
    """One half of a dataset; all three are relative to ``root_directory_path``.

    Attributes:
        images_root_dir_path: Folder or zip archive of the photos.
        mask_root_dir_path: Folder of the masks, which only ``--generate_masks`` writes.
        annotation_root_dir_path: The annotation file.
    """

    images_root_dir_path: PathText
    mask_root_dir_path: PathText
    annotation_root_dir_path: PathText


class DatasetHalf(NamedTuple):
    """Where one half of a dataset is.

    Attributes:
        paths: As the spec has them.
        annotations: The annotation file.
        images: The photos: a folder or a zip archive.
    """

    paths: DataPaths
    annotations: Location
    images: Location


class VisibilityFlags(Strict):
    """What the third number of a keypoint means.

    Attributes:
        value (number): The dataset's number for each of its words.
        mapping: What each of its words means here; map ``occluded`` to ``not_labeled`` to leave hidden joints out.
    """

    value: dict[Name, Int] = Field(default_factory=lambda: {"visible": 2, "occluded": 1, "not_labeled": 0})
    mapping: dict[Name, Visibility] = Field(default_factory=lambda: dict(COCO_WORDS), validate_default=True)

    @field_validator("value")
    @classmethod
    def _tells_words_apart(cls, value: dict[str, int]) -> dict[str, int]:
        first = {number: word for word, number in reversed(value.items())}
        twice: list[tuple[Loc, str]] = [
            ((word,), f"{number} is the number of {first[number]!r}, too")
            for word, number in value.items()
            if first[number] != word
        ]
        if twice:
            raise SpecMisfitError(*twice)
        return value

    @field_validator("mapping")
    @classmethod
    def _maps_every_word(cls, mapping: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        words = info.data.get("value", {})
        missing: list[tuple[Loc, str]] = [
            ((word,), "missing; 'value' has this key") for word in words if word not in mapping
        ]
        if missing:
            raise SpecMisfitError(*missing)
        if words and not any(mapping[word] in SEEN for word in words):
            raise SpecMisfitError(((), f"no word means {' or '.join(SEEN)}, so no joint would ever be labelled"))
        return mapping

    def codes(self) -> dict[int, int]:
        """Map the dataset's number to this project's flag: 0 not labelled, 1 hidden, 2 visible."""
        return {number: SEEN.get(self.mapping[word], 0) for word, number in self.value.items()}


class DataFilteringParams(Strict):
    """Which people of a picture are worth a training sample of their own.

    Attributes:
        min_acceptable_height (pixels): Least height of the box. TAO compares areas.
        min_acceptable_width (pixels): Least width of the box. TAO compares areas.
        min_acceptable_kpts (joints): Least number of labelled keypoints.
        min_acceptable_interperson_dist_ratio (share): Least distance to an accepted person, of that one's box. TAO
            takes the last person's box for all.
    """

    min_acceptable_height: NotNegative = 32
    min_acceptable_width: NotNegative = 32
    min_acceptable_kpts: Count = 5
    min_acceptable_interperson_dist_ratio: NotNegative = 0.3


def _allow_split(schema: dict[str, Any]) -> None:
    """Tell a JSON Schema that a rule may stand for the second half."""
    schema["required"] = [key for key in schema["required"] if key != "test_data"]
    schema["anyOf"] = [{"required": ["test_data"]}, {"required": ["split"]}]


class DatasetSpec(Strict):
    """What ``bpnet dataset_convert`` and ``bpnet evaluate`` read.

    Attributes:
        dataset: Its name; the train spec's ``dataset_specs`` uses the same.
        root_directory_path: Folder of every other path.
        train_data: Where the half to train on is.
        test_data: Where the half to evaluate on is; may be left out where ``split`` makes it.
        duplicate_data_with_each_person_as_center: A training sample for each main person, not only for the first.
        categories: What annotations are of.
        visibility_flags: What the third number of a keypoint means.
        data_filtering_params: Which people of a picture are worth a training sample of their own.
        person_categories: Extension: names of the categories that count as people, each with joints of its own. Null is
            ``person``, or the only category.
        split: Extension: hold photos of the ``train`` half's annotation file out, by a rule; ``test_data`` is left out
            then, or the same.
        unclear_orientation: Extension: what annotations are of in photos whose EXIF data turn them without changing
            their size. Those are half turns, mirrors and square photos; the picture as ``shown``, or the pixels as
            ``stored``. Of other photos their sizes and people tell.
        negative_photos: Extension: make records of photos without any annotation, too. ``dataloader.negatives`` of a
            train spec says what share of a batch they are.
        withheld_photos (bytes): Extension: SHA-256 of photos that nobody shall train on, with their sizes. Those that
            are in the ``train`` half get no record; pipelines fill in the photos that champions are compared on.
    """

    model_config = ConfigDict(json_schema_extra=_allow_split)

    dataset: Name
    root_directory_path: PathText
    train_data: DataPaths
    test_data: DataPaths = Field(
        description='give it, or "split": {"share": 0.1}, which holds that share of train_data\'s photos out'
    )
    duplicate_data_with_each_person_as_center: Bool = True
    categories: tuple[Category, ...]
    visibility_flags: VisibilityFlags = VisibilityFlags()
    data_filtering_params: DataFilteringParams = DataFilteringParams()
    person_categories: tuple[Name, ...] | None = Field(default=None, min_length=1, validate_default=True)
    split: SplitRule | None = None
    unclear_orientation: Literal["shown", "stored"] = "shown"
    negative_photos: Bool = False
    withheld_photos: dict[Name, Count] = Field(default_factory=dict, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _fill_test_data(cls, data: Any) -> Any:
        """Both halves are in one place where a rule splits them."""
        if isinstance(data, Mapping) and data.get("split") is not None and "train_data" in data:
            return {"test_data": data["train_data"], **data}
        return data

    @field_validator("split")
    @classmethod
    def _is_of_one_file(cls, rule: SplitRule | None, info: ValidationInfo) -> SplitRule | None:
        train, test = info.data.get("train_data"), info.data.get("test_data")
        if rule is not None and train is not None and test is not None and test != train:
            raise SpecMisfitError(((), "splits train_data; leave test_data out, or leave split out and keep test_data"))
        return rule

    @field_validator("categories")
    @classmethod
    def _require_names_to_differ(cls, categories: tuple[Category, ...]) -> tuple[Category, ...]:
        names = [category.name for category in categories]
        twice: list[tuple[Loc, str]] = [
            ((index, "name"), f"category {name!r} is described twice")
            for index, name in enumerate(names)
            if name in names[:index]
        ]
        if twice:
            raise SpecMisfitError(*twice)
        return categories

    @field_validator("person_categories")
    @classmethod
    def _are_categories(cls, people: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if "categories" not in info.data:
            return people
        categories = info.data["categories"]
        lack = lack_of_person(categories) if people is None else ""
        if lack:
            raise SpecMisfitError(((BESIDE, "categories"), f"{lack}, or several be named in 'person_categories'"))
        known = [category.name for category in categories]
        wrong: list[tuple[Loc, str]] = [
            ((index,), f"no such category (got {name!r}){did_you_mean(name, known)}")
            for index, name in enumerate(people or ())
            if name not in known
        ]
        if wrong:
            raise SpecMisfitError(*wrong)
        return people

    def locate_half(self, half: str) -> DatasetHalf:
        """Locate what belongs to the ``train`` half, or to the ``test`` half."""
        paths = self.train_data if half == "train" else self.test_data
        annotations = join(self.root_directory_path, paths.annotation_root_dir_path)
        images = join(self.root_directory_path, paths.images_root_dir_path)
        return DatasetHalf(paths, annotations, images)

    @property
    def people(self) -> Mapping[str, tuple[str, ...]]:
        """The joints of each category of people, in the order of its annotations' triplets."""
        wanted = self.person_categories or (find_person(self.categories).name,)
        return {category.name: category.keypoints for category in self.categories if category.name in wanted}

    @property
    def joints(self) -> tuple[str, ...]:
        """The joints of all people, put together by name: those of the records."""
        return tuple(dict.fromkeys(name for names in self.people.values() for name in names))
