"""Convert verbs: a dataset to record shards, on one machine or several."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import Verb, task
from bodyposenet.common.cli.launcher import results_dir as make_results_dir
from bodyposenet.common.cli.options import PlaceType, common_options, example, option, path_map_option
from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.numbers import pluralize, size
from bodyposenet.common.storage.location import Location

if TYPE_CHECKING:
    from bodyposenet.common.data.annotations.problems import Problem
    from bodyposenet.common.data.conversion.publish import Conversion
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.steps.convert import ConversionOptions

FEW = 4  # shards that are named one by one
MOST_TOLD = 20  # reasons that are printed; the report has more


def parse_part(_ctx: click.Context, _param: click.Parameter, given: str | None) -> tuple[int, int] | None:
    """``2/8`` as two numbers.

    Raises:
        click.BadParameter: It is no such text, or there is no such part.
    """
    from bodyposenet.common.data.conversion.shard_plan import read_part

    try:
        return None if given is None else read_part(given)
    except UserError as error:
        raise click.BadParameter(f"{error.problem}; {error.fix}") from None


@click.command(
    "dataset_convert",
    cls=Verb,
    epilog=example(
        "bpnet dataset_convert -d coco_spec.json -o data/train -m train",
        "bpnet dataset_convert -d coco_spec.json -o parts/0/train -s 64 --part 0/4",
        "bpnet dataset_convert -d coco_spec.json -o data/train --split 0.1 --split_group '(cam[0-9]+)/([0-9]{8})'",
    ),
)
@option("-d", "--dataset_spec", required=True, type=click.Path(), help="Dataset spec, JSON or YAML.")
@option("-o", "--output_filename", required=True, type=PlaceType(), help="Folder and name of the shards.")
@option("-m", "--mode", default="train", type=click.Choice(["train", "test", "val"]), help="Which half; val is test.")
@option("-p", "--num_partitions", default=1, help="Folds, dealt in turn.")
@option("-s", "--num_shards", default=0, help="Files a fold; 0 is one.")
@option("--generate_masks", is_flag=True, help="Write masks of crowds and unlabelled people as PNG, too.")
@option("--check_files", is_flag=True, help="Decode every pixel; else as much as shows damage.")
@option("--strict", is_flag=True, help="Stop at wrong annotations and images; else they are left out.")
@option("--split", type=float, metavar="SHARE", help="Hold out this share of train_data's photos; test is these.")
@option("--split_group", metavar="PATTERN", help="What is held out together: file, folder, or a regular expression.")
@option("--processes", type=click.IntRange(1), help="Work side by side.  [default: all cores; 1 for a small set]")
@option("--from_scratch", is_flag=True, help="Convert unchanged photos anew, too.")
@option("--part", callback=parse_part, metavar="I/N", help="Every N-th shard from the I-th on; see dataset_join.")
@dry_run_option
@path_map_option
@common_options
def dataset_convert(
    dataset_spec: str, output_filename: Location, mode: str, path_map: "PathMap", results_dir: str | None,
    num_partitions: int, num_shards: int, dry_run: bool, **options: Any,
) -> None:  # fmt: skip
    """Convert annotations and their photos to record shards and a manifest.json beside them.

    A conversion that was stopped goes on where it was when it is run again. Where the set is there already, made with
    the same settings, only what changed since is read and written.
    """
    from bodyposenet.common.steps.convert import ConversionOptions, run_convert

    _note_folder(output_filename)
    folder = output_filename.parent if dry_run else make_results_dir(results_dir, output_filename.parent, bucket=True)
    spec = _split(_load(dataset_spec, path_map, options["split"]), options["split"], options["split_group"])
    how = ConversionOptions(
        shards=(num_partitions, num_shards), part=options["part"], generate_masks=options["generate_masks"],
        check_files=options["check_files"], strict=options["strict"], processes=options["processes"],
        from_scratch=options["from_scratch"],
    )  # fmt: skip
    half = "train" if mode == "train" else "test"
    if dry_run:
        _preview(spec, output_filename, half, how)
        return
    with task("dataset_convert", folder) as run:
        made, _ = run_convert(run, spec, {half: (output_filename, folder)}, how)
    done = made[half]
    _tell_problems(done.problems, done.report)
    _say_summary(done)
    say(report=done.report)
    note(f"what is in the dataset: {done.report}")


def _preview(spec: "DatasetSpec", output: Location, half: str, how: "ConversionOptions") -> None:
    """Say what a conversion would do."""
    from bodyposenet.common.steps.preview import preview_convert

    found = preview_convert(spec, output, half, how)
    kept = f", keep {pluralize(found.untouched, 'shard')}" if found.untouched else ""
    copied = f", copy {pluralize(found.copied, 'record')} that stand" if found.copied else ""
    told = f" ({found.missing:,} are not there)" if found.missing else ""
    what = [f"read {pluralize(found.photos, 'photo')}, {size(found.bytes)}{told}{copied}{kept}"]
    what += [f"tell of {pluralize(found.problems, 'problem')}"] if found.problems else []
    files = found.shards if len(found.shards) <= FEW else [f"{len(found.shards):,} shards, {found.shards[0]} and so on"]
    say_plan(
        what, output.parent, [*files, "manifest.json"], needed=found.bytes,
        photos=found.photos, photos_missing=found.missing, photo_bytes=found.bytes, copied_records=found.copied,
        shards=len(found.shards), untouched_shards=found.untouched, problems=found.problems,
    )  # fmt: skip


def _load(path: str, path_map: "PathMap", share: float | None) -> "DatasetSpec":
    """Read the spec; with a share to hold out it needs no test half."""
    from bodyposenet.common.spec.base import validate
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.document import read_document

    document = read_document(path)
    if share is not None and "train_data" in document.data:
        document = replace(document, data={"test_data": document.data["train_data"], **document.data})
    return validate(document, DatasetSpec, path_map)


def _split(spec: "DatasetSpec", share: float | None, group: str | None) -> "DatasetSpec":
    """Let the flags say how the spec's train half is split; they go before what it says itself.

    Raises:
        UserError: They are no rule.
    """
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.split import SplitRule

    if share is None and group is None:
        return spec
    if share is None and spec.split is None:
        raise UserError("says no share to hold out", where="--split_group", fix="give --split, too, as in --split 0.1")
    told = {key: value for key, value in {"share": share, "group": group}.items() if value is not None}
    known = spec.split.model_dump() if spec.split else {}
    rule = parse_spec({**known, **told}, SplitRule, where="--split")
    return spec.model_copy(update={"split": rule, "test_data": spec.train_data})


@click.command("dataset_join", cls=Verb, epilog=example("bpnet dataset_join -o data/train parts/*"))
@click.argument("folders", nargs=-1, required=True, type=PlaceType())
@option("-o", "--output_filename", required=True, type=PlaceType(), help="Folder and name of the shards.")
@common_options
def dataset_join(folders: tuple[Location, ...], output_filename: Location, **options: Any) -> None:
    """Make one set of the parts in FOLDERS that dataset_convert --part wrote."""
    from bodyposenet.common.data.conversion.join import join_parts

    _note_folder(output_filename)
    folder = make_results_dir(options["results_dir"], output_filename.parent, bucket=True)
    with task("dataset_join", folder) as run:
        done = join_parts(folders, output_filename)
        run.log_metrics({"images": done.images, "people": done.people, "samples": done.samples})
    _say_summary(done)


def _note_folder(output: Location) -> None:
    """Say where the shards go if a folder is called as they are: beside it, as with TAO.

    Raises:
        UserError: There is no name for the shards.
    """
    if not output.name or output.name in (".", ".."):
        raise UserError("names no shards", where=f"-o {output}", fix=f"use -o {output / 'train'}")
    if not output.remote and output.is_dir():
        note(f"note: {output} is a folder; the shards are written beside it, as {output}-fold-…")


def _tell_problems(problems: "Sequence[Problem]", report: Location | None) -> None:
    """Print what was left out, then what is used all the same."""
    for problem in sorted(problems, key=lambda problem: problem.kept)[:MOST_TOLD]:
        note(f"{'note' if problem.kept else 'problem'}: {problem}")
    if len(problems) > MOST_TOLD:
        more = len(problems) - MOST_TOLD
        note(f"and {pluralize(more, 'more problem')}; see {report}")


def _say_summary(done: "Conversion") -> None:
    """Say what was written, and what was left out."""
    what = f"{pluralize(done.images, 'image')}, {pluralize(done.people, 'person')}, {pluralize(done.samples, 'sample')}"
    what += f", {pluralize(done.negatives, 'negative')}" if done.negatives else ""
    out = len(done.skipped) + done.refused
    left_out = f"{pluralize(out, 'image')} left out"
    left_out += "" if done.changes is None else f"; since the last conversion {done.changes}"
    say(
        f"wrote {pluralize(len(done.shards), 'shard')} and {done.manifest}: {what}, {left_out}",
        shards=done.shards, manifest=done.manifest, images=done.images, people=done.people, samples=done.samples,
        negatives=done.negatives, images_left_out=out, changes=done.changes and done.changes._asdict(),
    )  # fmt: skip
