"""Photo set: a folder of photos and COCO keypoint files, found or drawn, and the dataset spec that reads it."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bodyposenet.common.bounds import ANNOTATION_BYTES
from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import CocoSet, read_half
from bodyposenet.common.data.annotations.ids import read_key
from bodyposenet.common.data.importers.load import is_one_file, load_document
from bodyposenet.common.data.importers.yolo_layout import SUBSETS
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import read_bytes, whole_file
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.json_files import read_json
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import open_photos

POINTER = "source.json"
DATASET_SPEC, TEST_IMAGES = "dataset_spec.json", "test/images"
KINDS = ("*.json", "*.xml")  # of annotation files
HALVES = {"train_data": "train", "test_data": "val"}


def gather(source: str, output: Path, *, train: int = 600, val: int = 200, seed: int = 0) -> Location:
    """Make a photo set: a pointer to the folder ``source``, or drawn people where that is empty.

    Args:
        source: A folder with photos and COCO keypoint files; nothing draws a set.
        output: The folder of the set.
        train: Pictures to draw for training.
        val: Pictures to draw for evaluation.
        seed: Of the drawing.

    Returns:
        The folder where the photos are.

    Raises:
        UserError: There is no such folder, or its annotation files cannot be told apart.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not source:
        from bodyposenet.common.data.synthetic.dataset import synthesize  # which needs numba

        synthesize(output, train=train, val=val, seed=seed)
        return locate(output)
    folder = locate(source)
    folder = folder if folder.remote else locate(Path(source).resolve())
    require_photo_set(folder)
    (output / POINTER).write_text(json.dumps({"source": str(folder)}), encoding="utf-8")
    return folder


def photos_in(output: Path) -> Location:
    """Return the folder that a photo set means.

    Raises:
        UserError: What points to it does not tell where it is.
    """
    pointer = Path(output) / POINTER
    if not pointer.is_file():
        return locate(output)
    return locate(read_json(pointer, _take_source, what="pointer to photos", fix="make the photo set again"))


def _take_source(data: Any) -> str:
    source = data["source"]
    if not isinstance(source, str):
        raise TypeError("a path or an address is wanted")
    return source


def require_photo_set(folder: str | Path | Location) -> None:
    """Refuse a folder that no settings make a dataset of: it needs two halves, or one file to split.

    Raises:
        UserError: As for :func:`make_dataset_spec`.
    """
    try:
        make_dataset_spec(folder)
    except AwayError:
        raise
    except UserError as error:
        try:
            make_dataset_spec(folder, {"split": {"share": 0.5}})
        except AwayError:
            raise
        except UserError:
            raise error from None


def make_dataset_spec(folder: str | Path | Location, settings: Mapping[str, Any] | None = None) -> DatasetSpec:
    """The dataset spec of a photo set.

    Args:
        folder: Has ``images/`` (or ``train2017/`` and ``val2017/``) and, there or in ``annotations/``, one JSON or XML
            file with ``train`` and one with ``val`` in its name, where the settings have ``split`` one file; or the
            ``data.yaml`` of a YOLO-pose dataset.
        settings: Keys of a dataset spec; folders and files are added here. The joints are COCO's unless they say
            otherwise.

    Raises:
        UserError: Folders or files are missing or ambiguous, or the settings are no dataset spec.
    """
    place = locate(folder)
    if not place.is_dir():
        if place.remote:
            _require_listing(place)
        raise UserError(
            "there is no such folder", where=str(place), fix="give a folder with images/ and COCO keypoint files"
        )
    person = {"name": "person", "num_joints": COCO_17.num_joints, "keypoints": list(COCO_17.joints)}
    person["skeleton"] = [[a + 1, b + 1] for a, b in COCO_17.limbs]
    spec: dict[str, Any] = {"dataset": "coco", "categories": [person]} | dict(settings or {})
    spec["root_directory_path"] = str(place)
    split = spec.get("split") is not None
    for key, half in HALVES.items():
        images = _images(place, "train" if split else half)
        file = _only_annotations(place) if split else _annotations(place, half)
        spec[key] = {
            "images_root_dir_path": images,
            "mask_root_dir_path": "masks" if split else f"{half}_masks",
            "annotation_root_dir_path": file,
        }
    return parse_spec(spec, DatasetSpec, where="dataset_spec")


def _require_listing(place: Location) -> None:
    """Refuse an address that has no list of files, whatever lies there."""
    with translate_errors(place), contextlib.suppress(FileNotFoundError):
        place.list_files()


def keep_test_half(spec: DatasetSpec, folder: Path) -> DatasetSpec:
    """Put a dataset's test photos and annotations into a folder, so that it is all an evaluation needs.

    Args:
        spec: Says where they are.
        folder: Gets ``test/annotations.json`` and ``test/images/``; hard links where the disk can. Of a file that is
            split it gets what is held out.

    Returns:
        The spec with its test half in the folder; :func:`spec_in` reads it wherever the folder is by then.
    """
    _, annotations, images = spec.locate_half("test")
    held_out = read_half(spec, "test", strict=False)
    if spec.split is None and is_one_file(annotations):
        name = f"annotations{''.join(annotations.suffixes)}"
        _keep(annotations, folder / "test" / name, lambda: read_bytes(annotations, most=ANNOTATION_BYTES))
    else:
        name = "annotations.json"
        document = load_document(annotations, spec.people, Album(images, unclear=spec.unclear_orientation))
        _write_half(document, held_out if spec.split else None, folder / "test" / name)
    photos = open_photos(images)
    for photo in {*held_out.images.file_names} & {*photos.listing()}:
        if stays_inside(photo):
            _keep(images / photo, folder / TEST_IMAGES / photo, partial(photos.read, photo))
    paths = {"images_root_dir_path": TEST_IMAGES, "annotation_root_dir_path": f"test/{name}"}
    test = spec.test_data.model_copy(update=paths)
    return spec.model_copy(update={"root_directory_path": str(folder), "test_data": test, "split": None})


def spec_in(folder: Path) -> DatasetSpec:
    """The dataset spec that a converted dataset carries, for the place where the folder is now."""
    spec = load_spec(Path(folder) / DATASET_SPEC, DatasetSpec)
    return spec.model_copy(update={"root_directory_path": str(folder)})


def _keep(source: Location, target: Path, read: Callable[[], bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(str(source), target)
    except OSError:  # another disk, one without links, an archive or a bucket
        with whole_file(target) as file:
            file.write(read())


def _write_half(document: dict[str, Any], half: CocoSet | None, path: Path) -> None:
    """Write what a document says of the photos of one half, or all that it says."""
    if half is not None:
        document = _take_half(document, half)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps(document).encode())


def _take_half(document: dict[str, Any], half: CocoSet) -> dict[str, Any]:
    ids, numbers = {int(number) for number in half.images.ids}, half.images.numbers

    def belongs(given: object) -> bool:
        key = read_key(given)
        return (numbers.get(key) if isinstance(key, str) else key) in ids

    images = [image for image in document["images"] if belongs(image.get("id"))]
    people = [person for person in document["annotations"] if belongs(person.get("image_id"))]
    return {**document, "images": images, "annotations": people}


def _images(folder: Location, half: str) -> str:
    names = ["images", f"{half}2017", half]
    # A YOLO dataset may have its photos in train/images and valid/images
    parted = [*(f"{name}/images" for name in SUBSETS[half]), *SUBSETS[half]] if _find_yaml(folder) else []
    found = next((name for name in [*names[:2], *parted, *names[2:]] if (folder / name).is_dir()), None)
    if found is None:
        raise UserError(f"has no folder {', '.join(names)}", where=str(folder), fix="put the photos in images/")
    return found


def _find_yaml(folder: Location) -> str | None:
    """Find what describes a YOLO dataset."""
    return next((name for name in ("data.yaml", "dataset.yaml") if (folder / name).is_file()), None)


def _annotations(folder: Location, half: str) -> str:
    """Find the annotations of a half, as a path below the folder."""
    keypoints = _find_keypoints(folder, half)
    if not keypoints and (yaml := _find_yaml(folder)):
        return f"{yaml}#{half}"
    if len(keypoints) != 1:
        fix = f"name it annotations/person_keypoints_{half}.json"
        fix += "; or give one file for both, and set split of the dataset spec, as in {share: 0.1}"
        raise UserError(
            f"needs one keypoint file with {half!r} in its name, has: {_list_names(keypoints)}",
            where=str(folder / "annotations" if (folder / "annotations").is_dir() else folder),
            fix=fix,
        )
    return keypoints[0]


def _only_annotations(folder: Location) -> str:
    """Find the one file that is to be split, as a path below the folder."""
    keypoints = _find_keypoints(folder)
    if not keypoints and (yaml := _find_yaml(folder)):
        return f"{yaml}#train"
    if len(keypoints) != 1:
        raise UserError(
            f"needs one keypoint file for split of the dataset spec, has: {_list_names(keypoints)}",
            where=str(folder),
            fix="take the others away, or leave split out where there is a file for each half",
        )
    return keypoints[0]


def _find_keypoints(folder: Location, part: str = "") -> list[str]:
    places = [at for at in (folder / "annotations", folder) if at.is_dir()]
    files = {str(path): path for at in places for kind in KINDS for path in at.glob(kind)}
    found = [path for _, path in sorted(files.items()) if part in path.stem]
    keypoints = [path for path in found if "keypoints" in path.stem] or found
    return [str(path)[len(str(folder)) :].strip("/") for path in keypoints]


def _list_names(paths: Sequence[str]) -> str:
    return ", ".join(path.rpartition("/")[2] for path in paths) or "none"
