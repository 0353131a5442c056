"""CVAT's own XML, "CVAT for images 1.1" and "CVAT for video 1.1": skeletons on photos and along tracks.

Between two frames that a track tells, joints move in a straight line and keep the flags of the first. A rectangle that
is grouped with a skeleton is the person's box.
"""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bodyposenet.common.bounds import CVAT_FRAMES
from bodyposenet.common.data.importers import foreign
from bodyposenet.common.data.importers.assembly import Assembly, Joints, PhotoFinder, choose_people
from bodyposenet.common.data.importers.cvat_elements import (
    FIX,
    CvatElement,
    Triplet,
    parse_xml,
    read_box,
    read_joints,
    read_whole,
)
from bodyposenet.common.data.importers.document import Fault, decode_text
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.photo_store import is_photo

Fields = dict[str, Any]

NAME = "annotations.xml"
_FRAME = "frame_{:06d}"  # what CVAT calls the pictures of a video
_VIDEO = ("size", "start_frame", "frame_filter", "original_size")


def is_cvat_xml(data: bytes) -> bool:
    """Tell CVAT's XML by its first element, in any of Unicode's encodings."""
    start = data[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff").lstrip()
    return start[:1] == b"<" and b"<annotations" in start


def read_cvat_xml(
    data: bytes, where: str, *, choice: str, joints: Joints, photos: PhotoFinder | None, names: Sequence[str]
) -> Fields:
    """Read an export into a COCO document.

    Args:
        data: The XML.
        where: Its file, for messages.
        choice: A subset of a project; empty takes the only one.
        joints: As the dataset spec has them.
        photos: The photos, if they are known: their names tell those of a video's frames.
        names: The files that lie with the XML.

    Raises:
        UserError: It is no XML, holds entities, has no skeletons, or several subsets and no choice is made.
    """
    root = parse_xml(decode_text(data, where), where)
    skeletons = _find_skeletons(root)
    if not skeletons:
        problem = "it has no skeletons: points and boxes do not tell whose joints they are"
        raise UserError(problem, where=where, fix=foreign.CVAT_FIX)
    people = choose_people(list(skeletons), joints)
    assembly = Assembly({name: skeletons[name] for name in people}, where)
    for image in _choose_images(root, choice, where):
        number = assembly.add_photo(_name_photo(image, where), _read_size(image))
        _add_people(assembly, number, image.children)
    tracks = root.list_all("track")
    _refuse_several(tracks, where)
    video = _Video.read(root)
    frames = _gather_frames(tracks, skeletons, video, where)
    listed = [*(photos.listing if photos else ()), *names]
    _add_frames(assembly, frames, video.find_names(listed), video)
    tool = "CVAT for video" if frames else "CVAT for images"
    return assembly.finish(f"{tool} 1.1")


def _find_skeletons(root: CvatElement) -> dict[str, list[str]]:
    """Find the joints of each label of skeletons: as the labels are listed, or else as the skeletons have them."""
    skeletons: dict[str, list[str]] = {}
    for meta in root.list_all("meta"):
        for label in meta.walk("label"):
            parent, name = label.read_text("parent"), label.read_text("name")
            if parent and name not in skeletons.setdefault(parent, []):
                skeletons[parent].append(name)
    if skeletons:
        return skeletons
    drawn = [(node.label, node) for each in root.list_all("image") for node in each.children]
    drawn += [(track.label, node) for track in root.list_all("track") for node in track.children]
    for owner, node in drawn:
        for point in node.list_all("points") if node.tag == "skeleton" else ():
            names = skeletons.setdefault(owner, [])
            names += [name for name in [point.label] if name not in names]
    return skeletons


def _choose_images(root: CvatElement, choice: str, where: str) -> list[CvatElement]:
    """Choose the images of one subset: a project's have them as an attribute."""
    images = root.list_all("image")
    subsets = dict.fromkeys(image.attributes.get("subset", "") for image in images)
    if len(subsets) < 2 and not choice:
        return images
    chosen = [image for image in images if choice and image.attributes.get("subset", "").lower() == choice.lower()]
    if not chosen:
        known = ", ".join(filter(None, subsets)) or "none"
        problem = f"it has no subset {choice!r}" if choice else "it has several subsets"
        raise UserError(problem, where=where, fix=f"name one of them after a #, as in {where}#Train; it has: {known}")
    return chosen


def _name_photo(image: CvatElement, where: str) -> str:
    name = image.attributes.get("name")
    return name or Fault(f"{where}:{image.line}: the image has no name", FIX)


def _read_size(image: CvatElement) -> tuple[int, int] | None:
    height, width = image.number("height"), image.number("width")
    return (height, width) if height and width else None


def _add_people(assembly: Assembly, photo: int, shapes: Sequence[CvatElement]) -> None:
    """Add the skeletons of one photo with the rectangles that they are grouped with; other people's are masked."""
    boxes: dict[str, list[CvatElement]] = defaultdict(list)
    for shape in shapes:
        if shape.tag == "box" and shape.attributes.get("group_id", "0") != "0":
            boxes[shape.attributes["group_id"]].append(shape)
    owners = Counter(shape.attributes.get("group_id", "0") for shape in shapes if shape.tag == "skeleton")
    used = set()
    for shape in shapes:
        label = shape.label
        if shape.tag != "skeleton":
            continue
        if label not in assembly.numbers:
            assembly.note_other(photo, label)
            continue
        group = shape.attributes.get("group_id", "0")
        around = boxes.get(group, [])
        box = read_box(around[0]) if len(around) == 1 == owners[group] else None
        used |= {id(node) for node in around}
        found = read_joints(shape, assembly.joints(label), assembly.where)
        _add_person(assembly, photo, label, found, box)
    _add_rest(assembly, photo, [shape for shape in shapes if id(shape) not in used])


def _add_rest(assembly: Assembly, photo: int, shapes: Sequence[CvatElement]) -> None:
    """Add the rectangles of people that no skeleton has, to be masked, and note that other things are drawn."""
    for shape in shapes:
        label = shape.label
        kind = next((name for name in assembly.numbers if name.casefold() == label.casefold()), None)
        if shape.tag == "box" and kind is not None:
            nobody: dict[str, Triplet] = {}
            _add_person(assembly, photo, kind, nobody, read_box(shape))
        elif shape.tag != "tag":  # of the photo as a whole
            assembly.note_other(photo)


def _add_person(
    assembly: Assembly, photo: int, kind: str, found: Mapping[str, Triplet] | Fault, box: list[float] | None
) -> None:
    """Add somebody, unless there is neither a joint nor a box of them."""
    if isinstance(found, Fault):
        assembly.add_person(photo, kind, found, box)
        return
    triplets = [value for joint in assembly.joints(kind) for value in found.get(joint, (0.0, 0.0, 0))]
    if box is not None or any(triplets[2::3]):
        assembly.add_person(photo, kind, triplets, box)


def _refuse_several(tracks: Sequence[CvatElement], where: str) -> None:
    """Refuse the tracks of several videos, whose frames have the same numbers."""
    tasks = dict.fromkeys((track.attributes.get("task_id", ""), track.attributes.get("subset", "")) for track in tracks)
    if len(tasks) > 1:
        known = ", ".join(task or subset for task, subset in tasks)
        problem = f"it has tracks of several tasks ({known}), whose frames have the same numbers"
        raise UserError(problem, where=where, fix="export each task by itself")


@dataclass(frozen=True)
class _Video:
    """Which frames a task has, and their size.

    Attributes:
        count: How many; 0 where it is not told.
        first: The number of the first one in the video.
        step: How far the next one is from it.
        size: ``(height, width)``; None where it is not told.
    """

    count: int
    first: int
    step: int
    size: tuple[int, int] | None

    @classmethod
    def read(cls, root: CvatElement) -> "_Video":
        told = {tag: node for meta in root.list_all("meta") for tag in _VIDEO for node in meta.walk(tag)}
        texts = {tag: node.text.strip() for tag, node in told.items()}
        step = read_whole(texts.get("frame_filter", "").removeprefix("step=")) or 1
        shape = told.get("original_size", CvatElement("", {}, 0))
        height, width = read_whole(shape.read_text("height")), read_whole(shape.read_text("width"))
        size = (height, width) if height and width else None
        count, first = read_whole(texts.get("size", "")), read_whole(texts.get("start_frame", ""))
        return cls(count or 0, first or 0, step, size)

    def has(self, frame: int) -> bool:
        """Tell whether the task has a frame, by its number in the video."""
        place, rest = divmod(frame - self.first, self.step)
        return rest == 0 and 0 <= place < self.count

    def find_names(self, listed: Sequence[str]) -> dict[int, str]:
        """Find the pictures of the frames by their names."""
        stems = {posixpath.splitext(posixpath.basename(name))[0].lower(): name for name in listed if is_photo(name)}
        numbers = {read_whole(stem.removeprefix("frame_")): name for stem, name in stems.items()}
        known = {frame: name for frame, name in numbers.items() if frame is not None}
        return {frame: name for frame, name in known.items() if _FRAME.format(frame) in stems}


@dataclass(frozen=True)
class _Seen:
    """Somebody in one frame of a track."""

    label: str
    joints: Mapping[str, Triplet] | Fault


def _gather_frames(
    tracks: Sequence[CvatElement], skeletons: Mapping[str, Sequence[str]], video: _Video, where: str
) -> dict[int, list[_Seen]]:
    """List who is in each frame, with the frames between those that the tracks tell."""
    frames: dict[int, list[_Seen]] = defaultdict(list)
    left = CVAT_FRAMES
    for track in tracks:
        label = track.label
        told: dict[int, dict[str, Triplet] | Fault] = {}
        for node in track.list_all("skeleton"):
            frame = node.number("frame")
            if frame is None:
                raise UserError("a skeleton of a track has no frame", where=f"{where}:{node.line}", fix=FIX)
            told[frame] = read_joints(node, skeletons.get(label, ()), where)
        left -= (max(told) - min(told)) // video.step if told else 0
        if left < 0:
            problem = f"there are more than {CVAT_FRAMES} frames between those that the tracks tell"
            raise UserError(problem, where=f"{where}:{track.line}", fix=FIX)
        for frame, joints in _fill(dict(sorted(told.items())), video.step):
            frames[frame].append(_Seen(label, joints))
    return dict(sorted(frames.items()))


def _fill(
    told: Mapping[int, dict[str, Triplet] | Fault], step: int
) -> Iterator[tuple[int, Mapping[str, Triplet] | Fault]]:
    """Fill the gaps between frames; one that cannot be read is no end of a line."""
    last: tuple[int, Mapping[str, Triplet]] | None = None
    for frame, joints in told.items():
        if isinstance(joints, Fault):
            last = None
        else:
            if last is not None and any(flag for _, _, flag in last[1].values()):
                yield from _interpolate(*last, frame, joints, step)
            last = frame, joints
        yield frame, joints


def _interpolate(
    first: int, start: Mapping[str, Triplet], last: int, end: Mapping[str, Triplet], step: int
) -> Iterator[tuple[int, dict[str, Triplet]]]:
    for frame in range(first + step, last, step):
        part = (frame - first) / (last - first)
        between = {}
        for joint, (x, y, flag) in start.items():
            to_x, to_y, _ = end.get(joint, (x, y, flag))
            between[joint] = (x + part * (to_x - x), y + part * (to_y - y), flag)
        yield frame, between


def _add_frames(
    assembly: Assembly, frames: Mapping[int, Sequence[_Seen]], names: Mapping[int, str], video: _Video
) -> None:
    empty = filter(video.has, names)
    for frame in sorted({*frames, *empty}) if frames else ():
        photo = assembly.add_photo(names.get(frame, f"{_FRAME.format(frame)}.png"), video.size)
        for seen in frames.get(frame, ()):
            if seen.label in assembly.numbers:
                _add_person(assembly, photo, seen.label, seen.joints, None)
            else:
                assembly.note_other(photo, seen.label)
