"""Evaluate verb: a network's scores on a dataset's test images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.network_options import inference_flags, read_inference_spec
from bodyposenet.common.cli.options import (
    WordType,
    common_options,
    example,
    key_option,
    option,
    path_map_option,
    results_folder,
)
from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.machine.imports import import_numba
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.words import LabelFormat
from bodyposenet.common.storage.errors import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodyposenet.common.evaluation.false_positives import FalsePositives
    from bodyposenet.common.evaluation.outcome import Evaluation
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.storage.location import Location


@click.command("evaluate", cls=Verb, epilog=example("bpnet evaluate -i infer.yaml -d coco_spec.json -m model.keras"))
@inference_flags
@option("-d", "--dataset_spec", required=True, type=click.Path(), help="Dataset spec; its test_data is used.")
@option("--ceiling", is_flag=True, help="Score the labels, too, drawn as maps: the most that a network can reach.")
@option("--suspects", is_flag=True, help="List the labels that are likely wrong: suspects.csv, suspects.html.")
@option("--suspects_format", type=WordType(LabelFormat), help="For which tool their photos are.  [default: coco]")
@option("--url_prefix", default="", help="What stands before photos' names in Label Studio's tasks.")
@option("--dataset", default="coco", type=click.Choice(["coco"]), hidden=True)
@dry_run_option
@path_map_option
@key_option
@common_options
def evaluate(
    inference_spec: str | None,
    model_filename: str | None,
    dataset_spec: str,
    path_map: "PathMap",
    **options: Any,
) -> None:
    """Find the people of a dataset's test images and score them: COCO AP and AR, in results.csv."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    dataset = load_spec(dataset_spec, DatasetSpec, path_map=path_map)
    spec, model = read_inference_spec(inference_spec, path_map, model_filename, options["runner"])
    place = options["results_dir"] or results_folder(model) / "evaluate"
    import_numba()
    if options["dry_run"]:
        _preview(spec, model, dataset, place, options)
        return
    folder = results_dir(options["results_dir"], place, bucket=True)
    from bodyposenet.common.data.suspects.write import SuspectChoice
    from bodyposenet.common.steps.evaluate import run_evaluate

    form, wanted = options["suspects_format"], options["suspects"] or options["suspects_format"]
    choice = SuspectChoice(form or "coco", options["url_prefix"]) if wanted else False

    with task("evaluate", folder, status=False) as run:
        done, _ = run_evaluate(
            run, model, spec, dataset, folder, name=model.name, device=options["device"], runner=options["runner"],
            suspects=choice,
        )  # fmt: skip
    say("\n".join(f"{name:<24} {value:.3f}" for name, value in done.metrics.items()), metrics=done.metrics)
    say("\n".join(_list_false_positives(done.false_positives)), **done.false_positives.numbers())
    if options["ceiling"] or _is_drawn(dataset):
        ceiling = _ceiling(model, done.spec, dataset)
        say(f"{'ceiling AP':<24} {ceiling:.3f}", ceiling_ap=ceiling)
    for reason in done.skipped:
        note(f"left out: {reason}")
    say(f"ran in {done.ran}", ran=done.ran)
    _say_files(done, folder)


def _preview(
    spec: "InferenceSpec | None", model: Path, dataset: "DatasetSpec", place: "Path | Location", options: dict[str, Any]
) -> None:
    """Open the network and the dataset, and say what would be done with them.

    Raises:
        UserError: Something cannot be used.
    """
    from bodyposenet.common.steps.preview import preview_evaluate

    found = preview_evaluate(model, spec, dataset, options["device"], options["runner"])
    told = f" ({found['photos_missing']:,} are not there)" if found["photos_missing"] else ""
    what = f"look at {pluralize(found['photos'], 'photo')}{told} with {found['people_labelled']:,} labelled people"
    say_plan([what], place, ["results.csv", "detections.json", "evaluation.html"], **found)


def _say_files(done: "Evaluation", folder: "Location") -> None:
    """Say which files were written, and how many photos and people are in them."""
    from bodyposenet.common.data.report.suspects_page import PAGE as SUSPECTS_PAGE
    from bodyposenet.common.data.suspects.suspect import count_kinds, describe_suspects
    from bodyposenet.common.data.suspects.write import LIST
    from bodyposenet.common.evaluation.evaluation_page import PAGE

    if done.suspects is not None:
        say(f"wrote {folder / LIST}: {describe_suspects(done.suspects)}", suspects=count_kinds(done.suspects))
        say(f"look at them in {folder / SUSPECTS_PAGE}")
    say(f"look at curves, joints and photos in {folder / PAGE}", page=folder / PAGE)
    say(
        f"wrote {folder / 'results.csv'}: {done.summary()}",
        results=folder / "results.csv", photos=done.images, people_found=done.people, people_labelled=done.labelled,
        photos_without_people=done.empty, photos_left_out=len(done.skipped),
        photos_nobody_labelled=done.false_positives.blank_photos,
    )  # fmt: skip


def _list_false_positives(found: "FalsePositives") -> "Iterator[str]":
    """The means over photos, a line each."""
    from bodyposenet.common.evaluation.false_positives import PER_BLANK_PHOTO, PER_PHOTO

    numbers = found.numbers()
    yield f"{'false positives a photo':<24} {numbers[PER_PHOTO]:.3f}"
    if PER_BLANK_PHOTO in numbers:
        photos = pluralize(found.blank_photos, "photo")
        yield f"{'- with nobody labelled':<24} {numbers[PER_BLANK_PHOTO]:.3f} ({photos})"


def _is_drawn(dataset: "DatasetSpec") -> bool:
    """Whether ``bpnet synthesize`` drew the test set: an AP on it means little without its ceiling."""
    from bodyposenet.common.data.importers.load import is_one_file

    path = dataset.locate_half("test").annotations
    if not is_one_file(path):
        return False
    with translate_errors(path), path.open_stream() as file:
        return b"drawn people" in file.read(200)


def _ceiling(model: Path, spec: "InferenceSpec", dataset: "DatasetSpec") -> float:
    from bodyposenet.common.deploy.runtime.runners import open_runner
    from bodyposenet.common.evaluation.ceiling import ceiling_ap

    card = open_runner(model).card
    return ceiling_ap(dataset, spec, card.skeleton, stride=card.stride, sigma=card.sigma)
