"""Inference: the people in a user's photos, as ``detections.json`` and as pictures."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from bodyposenet.common.bounds import PHOTO_BYTES
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.photo import decode_photo, keep_whole, make_room
from bodyposenet.common.inference.batch import refuse_unreadable
from bodyposenet.common.inference.detections import Entry, entry, summarize, write_detections
from bodyposenet.common.inference.detector import choose_decoding, find_people, open_model
from bodyposenet.common.inference.inputs import refuse_archive
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pose.draw import draw_people
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.words import InputType
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import listing, read_bytes, write_unsynced
from bodyposenet.common.storage.location import Location, join, locate
from bodyposenet.common.storage.photo_store import PHOTOS, choose_photos
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)

PICTURES, PICTURE = "images_annotated", "{}.png"


@dataclass(frozen=True)
class Inference:
    """What an inference found.

    Attributes:
        detections: The file ``detections.json``.
        images: Photos that were asked for.
        people: People found in them.
        empty: Photos in which nobody was found.
        skipped: What is wrong with each photo that was not used.
        pictures: The photos with people drawn on them, if asked for.
        ran: What ran the network, on which instruction set, and how fast if that was measured.
    """

    detections: Location
    images: int
    people: int
    empty: int
    skipped: list[str]
    pictures: list[Location]
    ran: str = ""

    def summary(self) -> str:
        """The outcome in one or two sentences."""
        return summarize(self.people, self.images, self.empty, len(self.skipped))


def infer(
    model: "Path | Runner",
    spec: InferenceSpec | None,
    *,
    input_type: InputType,
    input: str | Path | Location,
    image_root_path: str | Path | Location | None = None,
    results_dir: str | Path | Location | None = None,
    dump_visualizations: bool = False,
    progress: bool | None = None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
) -> Inference:
    """Find the people in photos, and write what was found.

    Args:
        model: A Keras or ONNX model's file, an engine's, or a runner.
        spec: How to find people; None takes what was tuned for the model, at the size that it was trained at.
        input_type: ``image``: one file; ``dir``: the photos of a folder, by name; ``json``: a list of
            paths, or an object with ``images``, a list of objects with ``full_image_path``; its other keys are kept.
        input: The file or folder.
        image_root_path: Folder of relative paths, but for ``dir``.
        results_dir: Where to write; by default a folder ``inference`` beside the input.
        dump_visualizations: Also write ``images_annotated/<index>.png``, the index being ``viz_id`` in the file.
        progress: Show a progress bar; by default on terminals.
        device: What to compute on.
        runner: What to run an ONNX model with; the spec's if None.

    Raises:
        UserError: The model or the list of photos cannot be used. A photo that cannot is reported instead.

    Examples:
        >>> found = bodyposenet.infer(small.cpu_path, how, input_type="dir", input=Path("photos/images"))
        >>> found.images, found.detections.name
        (12, 'detections.json')
    """
    from bodyposenet.common.deploy.runtime.runners import describe_runner

    source = locate(input)
    root = None if image_root_path is None else locate(image_root_path)
    wanted, extra = list_photos(input_type, source, root)
    if not wanted:
        raise UserError(f"has no photos ({PHOTOS})", where=str(source), fix="name the folder that your photos are in")
    folder = locate(results_dir or default_results_dir(source))
    status = StatusLog(folder)
    status.write("STARTED", "Starting inference.")
    opened, spec = open_model(model, spec, device, runner, photos=len(wanted))
    hidden = None if progress is None else not progress
    with appear_together(folder, "inference") as staged:
        work = _Work(opened, spec, staged / PICTURES if dump_visualizations else None)
        entries, skipped = [], []
        found_all = look_at_all(enumerate(wanted), lambda photo: work.look(*photo))
        for found in Bar(found_all, "inference", len(wanted), unit="photo", disable=hidden):
            entries.append(found.entry)
            if found.problem:
                skipped.append(found.problem)
                log.warning("skipped %s", found.problem)
        if len(skipped) == len(wanted):  # what an earlier run found stays
            raise refuse_unreadable(len(wanted), skipped)
        file = folder / write_detections(staged, opened.card.skeleton, spec, entries, extra).name
    pictures = [folder / PICTURES / PICTURE.format(made["viz_id"]) for made in entries if "viz_id" in made]
    counts = [len(made["scores"]) for made in entries if "scores" in made]
    ran = describe_runner(opened)
    outcome = Inference(file, len(wanted), sum(counts), counts.count(0), skipped, pictures, ran)
    log.info(outcome.summary())
    status.write("SUCCESS", outcome.summary())
    return outcome


def default_results_dir(source: Location) -> Location:
    """Name the folder ``inference`` beside the input."""
    return source.absolute().parent / "inference"


def list_photos(kind: InputType, source: Location, root: Location | None) -> tuple[list[Entry], dict[str, Any]]:
    """List the photos that an input names.

    Returns:
        Their fields, ``full_image_path`` being a path that can be opened; and the other keys of a JSON input.

    Raises:
        UserError: There is no such input, or it is not what its type says.
    """
    if kind == "json":
        return _from_json(source, root)
    if kind == "dir":
        if not source.is_dir():
            raise UserError("is no folder", where=str(source), fix="give a folder, or --input_type image")
        files = [source / name for name in choose_photos(listing(source), str(source))]
        return [{"full_image_path": str(path)} for path in files], {}
    path = _resolve(str(source), root)
    if not path.is_file():
        fix = "give a file, or --input_type dir" if path.is_dir() else "check --input and --image_root_path"
        raise UserError("there is no such image file", where=str(path), fix=fix)
    refuse_archive(path)
    return [{"full_image_path": str(path)}], {}


def _resolve(name: str, root: Location | None) -> Location:
    """Locate a name below the root, or as it is where only that exists; a store is asked only if both may."""
    below, itself = join(root or "", name), locate(name)
    with translate_errors(below), translate_errors(itself):
        if below == itself or not itself.exists():
            return below
        return itself if os.path.isabs(name) or not below.exists() else below


def _from_json(source: Location, root: Location | None) -> tuple[list[Entry], dict[str, Any]]:
    document = _load(source)
    extra = {key: value for key, value in document.items() if key != "images"} if isinstance(document, dict) else {}
    photos = document.get("images") if isinstance(document, dict) else document
    if not isinstance(photos, list):
        fix = "give a list of paths, or an object with 'images', a list of objects with 'full_image_path'"
        raise UserError("lists no images", where=str(source), fix=fix)
    return [_name(photo, f"{source}: images[{index}]", root) for index, photo in enumerate(photos)], extra


def _load(source: Location) -> Any:
    try:
        return json.loads(read_bytes(source, fix="check --input").decode())
    except json.JSONDecodeError as error:
        raise UserError(f"is no JSON: {error.msg}", where=f"{source}:{error.lineno}", fix="mend it") from None
    except UnicodeDecodeError:
        raise UserError("is no text", where=str(source), fix="give a JSON file") from None
    except RecursionError:
        raise UserError("is nested too deeply to be a list of photos", where=str(source), fix="mend it") from None
    except ValueError as error:  # a number with thousands of digits
        if isinstance(error, UserError):
            raise
        raise UserError("has a number with too many digits", where=str(source), fix="mend it") from None


def _name(photo: object, where: str, root: Location | None) -> Entry:
    fields = {"full_image_path": photo} if isinstance(photo, str) else photo
    if not isinstance(fields, Mapping) or not isinstance(fields.get("full_image_path"), str):
        raise UserError("has no 'full_image_path'", where=where, fix="give each image a path, as a string")
    return {**fields, "full_image_path": str(_resolve(fields["full_image_path"], root))}


class _Looked(NamedTuple):
    """What came of a photo: its entry, and what is wrong with it."""

    entry: Entry
    problem: str = ""


class _Work:
    """Looks at photos, from any thread; draws the people, if there is a folder for that."""

    def __init__(self, runner: "Runner", spec: InferenceSpec, pictures: Location | None) -> None:
        self.runner, self.spec, self.folder = runner, spec, pictures
        self.reduce = keep_whole if pictures else choose_decoding(runner, spec)
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)

    def look(self, index: int, given: Entry) -> _Looked:
        path = locate(given["full_image_path"])
        try:
            data = read_bytes(path, fix="check the path", most=PHOTO_BYTES)
            with make_room(data):
                photo = decode_photo(data, where=str(path), reduce=self.reduce)
                people = find_people(self.runner, photo, self.spec)
                if self.folder is not None:
                    self._draw(index, draw_people(photo.pixels, people, self.runner.card.skeleton))
        except AwayError:
            raise
        except UserError as error:
            return _Looked(entry(path, None, given), str(error))
        drawn = {} if self.folder is None else {"viz_id": index}
        return _Looked(entry(path, people, given) | drawn)

    def _draw(self, index: int, image: np.ndarray) -> None:
        assert self.folder is not None
        encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        with write_unsynced(self.folder / PICTURE.format(index)) as file:
            file.write(encoded.tobytes())
