"""Prelabel verb: new photos as drafts for a labelling tool, those worth most first."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.network_options import inference_flags, read_inference_spec
from bodyposenet.common.cli.options import WordType, common_options, example, key_option, option, path_map_option
from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.imports import import_numba
from bodyposenet.common.model.files.bundled import REGISTERED
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.words import LabelFormat, RunnerName
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.locking import scratch_folder

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.storage.location import Location

SHARE = click.FloatRange(0, 1)


@click.command(
    "prelabel",
    cls=Verb,
    epilog=example(
        "bpnet prelabel --input photos --limit 200",
        "bpnet prelabel -m models:/bodyposenet@champion --input photos --format label-studio",
    ),
)
@inference_flags
@option("--input", "source", required=True, type=click.Path(), help="Folder or zip archive of photos.")
@option("--format", "form", default="coco", type=WordType(LabelFormat), help="What to write: coco is for CVAT, too.")
@option("--limit", default=0, type=click.IntRange(0), help="Photos, at most, the hardest; 0 takes all.")
@option("--least_score", default=0.3, type=SHARE, help="Joints of a lower score are written as not visible (flag 1).")
@option("--url_prefix", default="", help="What stands before photos' names in Label Studio's tasks.")
@option("--copy_photos", is_flag=True, help="Also copy the photos to images/train in the results folder.")
@dry_run_option
@path_map_option
@key_option
@common_options
def prelabel(
    inference_spec: str | None,
    model_filename: str | None,
    source: str,
    path_map: "PathMap",
    **options: Any,
) -> None:
    """Find people in new photos and write them as drafts for CVAT, Label Studio or YOLO, the hardest photos first."""
    place = options["results_dir"] or locate(source).absolute().parent / "prelabel"
    import_numba()
    if options["dry_run"]:
        with _open_network(inference_spec, path_map, model_filename, options["runner"]) as (spec, model, _):
            _preview(spec, model, source, place, options)
        return
    from bodyposenet.common.inference.prelabel import LabelChoice
    from bodyposenet.common.steps.prelabel import run_prelabel

    choice = LabelChoice(
        options["form"], options["limit"], options["least_score"], options["url_prefix"], options["copy_photos"]
    )
    folder = results_dir(options["results_dir"], place, bucket=True)
    with (
        _open_network(inference_spec, path_map, model_filename, options["runner"]) as (spec, model, name),
        task("prelabel", folder, status=False) as run,
    ):
        done, _ = run_prelabel(
            run, model, spec, source, folder, choice, name=name, device=options["device"], runner=options["runner"]
        )
    for reason in done.problems:
        note(f"left out: {reason}")
    say(
        f"wrote {done.file}: {done.summary()}",
        labels=done.file, people=done.people, photos=done.photos, photos_seen=done.seen,
        photos_without_people=done.empty, photos_left_out=done.unreadable, uncertain_joints=done.uncertain,
    )  # fmt: skip
    say(f"hardest first: {done.order}", order=done.order)


def _preview(
    spec: "InferenceSpec | None", model: Path, source: str, folder: "Path | Location", options: dict[str, Any]
) -> None:
    """Open the network, and say what would be done with the photos of a folder.

    Raises:
        UserError: There are none, or the network cannot be used.
    """
    from bodyposenet.common.inference.batch import list_source
    from bodyposenet.common.steps.preview import open_plainly
    from bodyposenet.common.storage.photo_store import open_photos

    found = list_source(open_photos(source), source)
    open_plainly(model, spec, options["device"], options["runner"])
    most = min(options["limit"] or len(found), len(found))
    copied = sum(stat.size for stat in found.values()) if options["copy_photos"] and most == len(found) else 0
    files = [f"labels of {pluralize(most, 'photo')} for {options['form']}", "order.csv"]
    files += [pluralize(most, "copied photo")] if options["copy_photos"] else []
    what = f"find people in {pluralize(len(found), 'photo')}"
    say_plan([what], folder, files, needed=copied, photos_seen=len(found), photos=most)


@contextlib.contextmanager
def _open_network(
    path: str | None, path_map: "PathMap", model: str | None, runner: RunnerName | None
) -> "Iterator[tuple[InferenceSpec | None, Path, str]]":
    """Give the spec, the network's file, and its name; one of the registry is there until the block ends."""
    if model is None or not model.startswith(REGISTERED):
        spec, file = read_inference_spec(path, path_map, model, runner)
        yield spec, file, file.stem
        return
    from bodyposenet.common.steps.registered_network import fetch_network
    from bodyposenet.common.tracking.start_weights import REFERENCE

    told = REFERENCE.fullmatch(model)
    if told is None:
        raise UserError("names no registered network", where=model, fix=f"write {REGISTERED}NAME@ALIAS or /VERSION")
    with scratch_folder() as aside:
        network = fetch_network(told["name"], told["alias"] or told["version"], {}, Path(aside))
        spec = read_inference_spec(path, path_map, str(network.file), runner)[0] if path else network.spec
        yield spec, network.file, network.title
