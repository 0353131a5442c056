"""Photo people: what was found in a photo, joint by joint with their names, and in the forms that other tools take."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.headers import Size
from bodyposenet.common.inference.detections import Entry, choose_joints, entry, read_people, to_coco
from bodyposenet.common.inference.given_photo import Order, read_pixels
from bodyposenet.common.pose.draw import draw_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton


@dataclass(frozen=True)
class FoundJoint:
    """A joint.

    Attributes:
        name: As the skeleton calls it.
        x: Pixels from the centre of the photo's first column.
        y: Pixels from the centre of its first row.
        score: Above 0, to 1.
    """

    name: str
    x: float
    y: float
    score: float


@dataclass(frozen=True)
class FoundPerson:
    """A person.

    Attributes:
        score: From 0 to 1.
        joints: Those that were found, by their names.
    """

    score: float
    joints: dict[str, FoundJoint]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of what holds the joints, in pixels."""
        places = np.array([(joint.x, joint.y) for joint in self.joints.values()]).reshape(-1, 2)
        (left, top), (width, height) = places.min(axis=0), np.ptp(places, axis=0)
        return float(left), float(top), float(width), float(height)


@dataclass(frozen=True, eq=False)
class PhotoPeople:
    """The people of a photo: a sequence of them, best first.

    Attributes:
        name: The photo's path, or what messages call it.
        size: ``(height, width)`` of the photo, in pixels; (0, 0) where it could not be read.
        skeleton: Names of joints and limbs.
        found: The people as arrays.
        problem: What is wrong with a photo of several that cannot be used; else nothing.
        photo: What was given, which :meth:`draw` reads again.
        order: Of its colours, if that was an array.

    Examples:
        >>> best = people[0]
        >>> best.joints["left_eye"]
        FoundJoint(name='left_eye', x=54.5, y=16.0, score=0.75)
        >>> [len(person.joints) for person in people]
        [3, 2]
        >>> people.to_coco(image_id=7)[0]["keypoints"][:6]
        [50.0, 20.0, 1.0, 54.5, 16.0, 1.0]
        >>> people.to_pandas()["joint"].tolist()
        ['nose', 'right_hip', 'left_eye', 'nose', 'right_hip']
    """

    name: str
    size: Size
    skeleton: Skeleton
    found: People
    problem: str = ""
    photo: Any = field(default=None, repr=False)
    order: Order = field(default="rgb", repr=False)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> FoundPerson:
        places = zip(self.skeleton.joints, self.found.keypoints[index].astype(float).tolist(), strict=True)
        joints = {name: FoundJoint(name, *values) for name, values in places if values[2] > 0}
        return FoundPerson(float(self.found.scores[index]), joints)

    def __iter__(self) -> Iterator[FoundPerson]:
        return (self[index] for index in range(len(self)))

    @property
    def keypoints(self) -> np.ndarray:
        """``(N, K, 3)`` float32 x, y in the photo's pixels and score, in the skeleton's order; 0 where not found."""
        return self.found.keypoints

    @property
    def scores(self) -> np.ndarray:
        """``(N,)`` float32 scores of the people."""
        return self.found.scores

    def to_entry(self, number: int, file_name: str) -> Entry:
        """What ``detections.json`` says of the photo, in lists and numbers that any encoder of JSON takes.

        Args:
            number: COCO's ``image_id``.
            file_name: What the photo is called there.
        """
        meta: dict[str, Any] = {"id": number, "file_name": file_name}
        if self.problem:
            return entry(self.name, None, {"image_meta": meta, "problem": self.problem})
        meta |= {"height": self.size[0], "width": self.size[1]}
        told = entry(self.name, self.found, {"image_meta": meta})
        return told | {"keypoints": told["keypoints"].tolist()}

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """The people as COCO's results: what ``detections_coco_format.json`` says of them.

        Args:
            image_id: The photo's.

        Returns:
            A dict a person; ``keypoints`` holds x, y and 1 for each joint, a guess and 0 where it was not found: COCO's
            17 in their order, or the skeleton's own if it lacks one of those.
        """
        people = read_people(self.to_entry(image_id, ""), self.skeleton)
        return to_coco(people, self.skeleton, choose_joints(self.skeleton), image_id)

    def to_pandas(self) -> Any:
        """The people as a ``pandas.DataFrame``: a row a joint that was found.

        Returns:
            Columns ``photo``, ``person`` (from 0, best first), ``person_score``, ``joint``, ``x``, ``y``, ``score``.

        Raises:
            UserError: pandas is not installed.
        """
        rows = [
            (self.name, number, person.score, joint.name, joint.x, joint.y, joint.score)
            for number, person in enumerate(self)
            for joint in person.joints.values()
        ]
        columns = ["photo", "person", "person_score", "joint", "x", "y", "score"]
        return _import("pandas").DataFrame(rows, columns=columns)

    def to_supervision(self) -> Any:
        """The people as a ``supervision.KeyPoints``, joints in the skeleton's order.

        Returns:
            Joints that were not found are at (0, 0), with a confidence of 0, and not visible.

        Raises:
            UserError: supervision is not installed.
        """
        people, places = len(self), self.keypoints
        return _import("supervision").KeyPoints(
            xy=places[..., :2].copy(),
            class_id=np.zeros(people, int),
            keypoint_confidence=places[..., 2].copy(),
            detection_confidence=self.scores.copy(),
            visible=places[..., 2] > 0,
            data={"class_name": np.full(people, "person")},
        )

    def to_fiftyone(self) -> Any:
        """The people as ``fiftyone.Keypoints``, joints in the skeleton's order.

        Returns:
            Points are fractions of the photo's width and height; those of joints that were not found are NaN.

        Raises:
            UserError: FiftyOne is not installed.
        """
        library = _import("fiftyone")
        points = np.where(self.keypoints[..., 2:] > 0, self.keypoints[..., :2] / self.size[::-1], np.nan).tolist()
        confidence = self.keypoints[..., 2].astype(float).tolist()
        return library.Keypoints(
            keypoints=[
                library.Keypoint(label="person", points=list(map(tuple, places)), confidence=scores)
                for places, scores in zip(points, confidence, strict=True)
            ]
        )

    def draw(self) -> np.ndarray:
        """Draw the people on the photo, which is read again; an array is left as it is.

        Returns:
            ``(H, W, 3)`` uint8, RGB whatever was given.

        Raises:
            UserError: The photo cannot be read, or is another one now.
        """
        image = read_pixels(self.photo, where=self.name, order=self.order)
        if image.shape[:2] != self.size:
            raise UserError("is not the photo any more in which people were found", where=self.name, fix="look again")
        return draw_people(image, self.found, self.skeleton)


Tool = Literal["pandas", "supervision", "fiftyone"]


def _import(library: Tool) -> Any:
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise UserError(f"{library} is not installed", fix=f"pip install {library}") from None
