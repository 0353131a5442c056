"""Prune verb: the flags of ``bpnet prune``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.devices import MultiValueOption
from bodyposenet.common.cli.dry_run import dry_run_option
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.options import (
    SIZE,
    DiskType,
    WordType,
    common_options,
    example,
    find_model,
    key_option,
    option,
    path_map_option,
    warn_of_name,
)
from bodyposenet.common.cli.printing import say
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import CriterionName, Equalization, Normalizer

if TYPE_CHECKING:
    from bodyposenet.common.prune.taylor import TrainingData
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.prune import PruneSpec
    from bodyposenet.common.storage.location import Location

EXAMPLE = example(
    "bpnet prune -m model.keras -o pruned.keras -eq union -pth 0.2",
    "bpnet prune -m model.keras --dry-run",
    "bpnet prune -m model.keras -o pruned.keras --target_flops 0.3",
)


@click.command("prune", cls=Verb, epilog=EXAMPLE)
@option("-m", "--model", required=True, type=click.Path(), help="Model to prune.")
@option("-o", "--output_file", type=DiskType(), help="The smaller model; a dry run needs none.")
@option(
    "-n",
    "--normalizer",
    default="max",
    type=WordType(Normalizer),
    help="What scores are divided by; cost suits taylor.",
)
@option("-eq", "--equalization_criterion", default="union", type=WordType(Equalization), help="How tied layers agree.")
@option("-pg", "--pruning_granularity", default=8, help="Filters left are a multiple of this; 16 suits ONNX Runtime.")
@option("-pth", "--pruning_threshold", default=0.1, help="Filters with a normalised norm at or below it go.")
@option("-nf", "--min_num_filters", default=16, help="Least filters left of a layer.")
@option(
    "-el", "--excluded_layers", cls=MultiValueOption, metavar="NAME...", help="Whole layers; or patterns: stage1_*."
)
@option("--criterion", default="l2_norm", type=WordType(CriterionName), help="What tells how much a filter matters.")
@option("--target_params", type=float, help="Search the threshold that leaves at most this share of the parameters.")
@option("--target_flops", type=float, help="The same of the floating-point operations.")
@option("--refit", is_flag=True, help="Fit the layers that are left to what they drew, on data of the train spec.")
@option("-e", "--experiment_spec_file", type=click.Path(), help="Train spec, whose data taylor and --refit look at.")
@option("--batches", default=20, type=click.IntRange(1), help="Batches of it that taylor looks at.")
@dry_run_option
@option("--input_size", type=SIZE, metavar="HEIGHT,WIDTH", help="Input to count FLOPs for.  [default: the model's]")
@option("-v", "--verbose", is_flag=True, help="Print what is left of each layer.")
@path_map_option
@key_option
@common_options
def prune(
    model: str,
    output_file: Path | None,
    experiment_spec_file: str | None,
    batches: int,
    dry_run: bool,
    input_size: tuple[int, int] | None,
    path_map: "PathMap",
    verbose: bool,
    **options: Any,
) -> None:
    """Cut away the filters that matter least; train the result again (load_graph: true)."""
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.prune import PruneSpec

    named = options.pop("results_dir")
    options.pop("log_level")
    if output_file is None and not dry_run:
        raise UserError("no output file", where="bpnet prune", fix="give -o FILE, or --dry-run to look before")
    folder = None if output_file is None or dry_run else results_dir(named, output_file.parent)
    source = find_model(model)
    prune_spec = parse_spec(options, PruneSpec, where="bpnet prune")
    refit = prune_spec.refit and not dry_run
    learned = prune_spec.criterion == "taylor" or refit
    data = _training_data(experiment_spec_file, batches, path_map, refit=refit) if learned else None
    if output_file is None or folder is None:
        _preview(source, prune_spec, input_size, data, None if output_file is None else named or output_file.parent)
        return
    from bodyposenet.common.steps.prune import run_prune

    warn_of_name(output_file)
    with task("prune", folder) as run:
        done, _ = run_prune(run, source, output_file, prune_spec, size=input_size, data=data)
    if verbose:
        say(done.markdown(), filters_kept=done.layers)
    kept = f"{done.params_after:,} of {done.params_before:,} parameters ({done.kept:.1%})"
    say(
        f"wrote {done.path}: {kept}, {done.gflops_after:.2f} of {done.gflops_before:.2f} GFLOPs",
        model=done.path, parameters_before=done.params_before, parameters=done.params_after, kept=done.kept,
        gflops_before=done.gflops_before, gflops=done.gflops_after, input_size=done.size,
    )  # fmt: skip
    say(f"threshold {done.threshold:g}{'; ' if done.note else ''}{done.note}", threshold=done.threshold, note=done.note)


def _preview(
    source: Path,
    spec: "PruneSpec",
    size: tuple[int, int] | None,
    data: "TrainingData | None",
    folder: "Path | Location | None",
) -> None:
    """Print what a ladder of thresholds would leave, and the room in the folder that results would go to."""
    from bodyposenet.common.prune.prune import ladder_file
    from bodyposenet.common.steps.preview import examine_folder

    free = None if folder is None else examine_folder(folder)
    found = ladder_file(source, spec, size=size, data=data)
    say(found.text().rstrip("\n"), **found.numbers(), dry_run=True, free_bytes=free)


def _training_data(spec_file: str | None, count: int, path_map: "PathMap", *, refit: bool) -> "TrainingData":
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.train import TrainSpec

    if spec_file is None:
        raise UserError(
            "taylor weighs filters by training data, --refit fits layers to it, and none is given",
            where="--criterion, --refit",
            fix="give a train spec: -e FILE",
        )
    from bodyposenet.common.prune.taylor import VIEWS, TrainingData

    spec = load_spec(spec_file, TrainSpec, path_map=path_map)
    return TrainingData.read(spec, count, views=VIEWS if refit else 0)
