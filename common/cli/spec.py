"""Spec verbs: new spec files, what is wrong with them, what their keys do, and how two of them differ."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import PlaceType, example, option, path_map_option
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.cli.verb_group import WholeSentences
from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.plain_text import escape_line

if TYPE_CHECKING:
    from bodyposenet.common.skeleton.skeleton import Skeleton
    from bodyposenet.common.spec.base import PathMap, Strict
    from bodyposenet.common.storage.location import Location

KIND = click.Choice(("train", "dataset", "infer", "pose", "prune", "deploy"))
DIFFERS = 1  # exit code of a diff that found something


@click.group("spec", cls=WholeSentences)
def spec_group() -> None:
    """Write spec files, and look at them."""


@spec_group.command("check", cls=ErrorHandlingCommand, epilog=example("bpnet spec check train.yaml coco_spec.json"))
@click.argument("files", nargs=-1, required=True, type=click.Path())
@option("--draw", type=PlaceType(), metavar="PNG", help="Draw the skeletons of the specs, and their mirror images.")
@path_map_option
@json_option
def check(files: tuple[str, ...], draw: "Location | None", path_map: "PathMap") -> None:
    """Say what each spec is, or print every problem of every file and exit 2."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.kinds import describe, detect_kind, notes

    problems, specs, told = [], [], []
    for file in files:
        try:
            spec = load_spec(file, detect_kind(file), path_map=path_map)
        except SpecError as error:
            problems.append(str(error))
            continue
        specs.append(spec)
        told.append({"file": file, "about": describe(spec), "notes": list(notes(spec))})
        name = escape_line(file)
        say("\n".join((f"{name}: {describe(spec)}", *(f"{name}: note: {note}" for note in notes(spec)))))
    if problems:
        raise SpecError(problems)
    say(specs=told)
    if draw is not None:
        _draw(specs, draw)


@spec_group.command("init", cls=ErrorHandlingCommand, epilog=example("bpnet spec init train -o train.yaml"))
@click.argument("kind", type=KIND)
@option("-o", "--output_file", type=PlaceType(), help="Where it is written, YAML.  [default: standard output]")
@option("--schema", metavar="PLACE", help="JSON Schema that editors find in its first line.  [default: the package's]")
@option("--force", is_flag=True, help="Replace a file that is there.")
def init(kind: str, output_file: "Location | None", schema: str | None, force: bool) -> None:
    """Write a new spec with every key at its default, and what each is for."""
    from bodyposenet.common.spec.guide.schema import locate_schema
    from bodyposenet.common.spec.guide.template import write_template
    from bodyposenet.common.storage.files import write_text

    name = None if output_file is None else str(output_file)
    text = write_template(kind, schema=schema or str(locate_schema(kind)), file=name)
    if output_file is None:
        click.echo(text, nl=False)
        return
    if not force and output_file.exists():
        raise UserError("there is a file already", where=str(output_file), fix="take another name, or --force")
    write_text(output_file, text)
    say(f"wrote {output_file}")


@spec_group.command("schema", cls=ErrorHandlingCommand, epilog=example("bpnet spec schema -o schemas"))
@click.argument("kind", type=KIND, required=False)
@option("-o", "--output_dir", type=PlaceType(), help="Folder for files of all kinds, or of KIND.")
def schema(kind: str | None, output_dir: "Location | None") -> None:
    """Print the JSON Schema of a kind of spec, or where those of all kinds are, for editors and other tools."""
    from bodyposenet.common.spec.guide.schema import format_schema, locate_schema, name_schema
    from bodyposenet.common.storage.files import write_text
    from bodyposenet.common.storage.together import appear_together

    kinds = [kind] if kind else KIND.choices
    if output_dir is not None:
        with appear_together(output_dir, "schemas") as staged:
            for each in kinds:
                write_text(staged / name_schema(each), format_schema(each))
        say("\n".join(f"wrote {output_dir / name_schema(each)}" for each in kinds))
    elif kind:
        click.echo(format_schema(kind), nl=False)
    else:
        for each in kinds:
            say(f"{each}: {locate_schema(each)}")


@spec_group.command("explain", cls=ErrorHandlingCommand, epilog=example("bpnet spec explain heatmap_gaussian_sigma"))
@click.argument("name", metavar="KEY")
@json_option
def explain(name: str) -> None:
    """Say what a key of a spec does: its type, unit, bounds, default, effect, and what TAO does.

    KEY is a path such as dataloader.pose_config.target_shape, or its last part if only one key has it.
    """
    from bodyposenet.common.spec.guide.look_up import describe_keys, find_keys, list_properties

    keys = find_keys(name)
    say("\n".join(describe_keys(keys)), keys=list(list_properties(keys)))


@spec_group.command("diff", cls=ErrorHandlingCommand, epilog=example("bpnet spec diff train.yaml retrain.yaml"))
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@json_option
@click.pass_context
def diff(ctx: click.Context, first: str, second: str) -> None:
    """Say where two specs differ once defaults are filled in: a line a key, with its value in FIRST and in SECOND.

    Ends with exit code 0 if they are the same, 1 if they differ, 2 if a file is wrong.
    """
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.guide.difference import compare_specs
    from bodyposenet.common.spec.kinds import detect_kind

    differences = compare_specs(*(load_spec(file, detect_kind(file)) for file in (first, second)))
    lines = (f"{key}: {before} -> {after}" for key, before, after in differences)
    say("\n".join(lines), differences=[each._asdict() for each in differences])
    ctx.exit(DIFFERS if differences else 0)


def _draw(specs: "Iterable[Strict]", path: "Location") -> None:
    """Draw all skeletons of specs below one another.

    Raises:
        UserError: There is none, or it cannot be drawn or written.
    """
    import cv2
    import numpy as np

    from bodyposenet.common.pose.skeleton_picture import draw_skeleton
    from bodyposenet.common.storage.files import whole_file

    if Path(str(path)).suffix.lower() != ".png":
        raise UserError("the picture is a PNG file", where=f"--draw {path}", fix="let its name end with .png")
    pictures = [draw_skeleton(each) for each in dict.fromkeys(_list_skeletons(specs))]
    if not pictures:
        raise UserError("none of the files has a skeleton", where="--draw", fix="name a pose config or a dataset spec")
    width = max(picture.shape[1] for picture in pictures)
    edge = pictures[0][0, 0]
    wide = [np.pad(each, ((0, 0), (0, width - each.shape[1]), (0, 0)), constant_values=0) for each in pictures]
    for picture, each in zip(pictures, wide, strict=True):
        each[:, picture.shape[1] :] = edge
    with whole_file(path) as file:
        file.write(cv2.imencode(".png", np.concatenate(wide)[..., ::-1])[1].tobytes())
    say(f"wrote {path}")


def _list_skeletons(specs: "Iterable[Strict]") -> "Iterator[Skeleton]":
    """List the skeletons that specs speak of."""
    from bodyposenet.common.skeleton.skeleton import make_skeleton
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.pose_config import PoseConfig
    from bodyposenet.common.spec.train import TrainSpec

    for spec in specs:
        if isinstance(spec, PoseConfig):
            yield spec.skeleton()
        elif isinstance(spec, TrainSpec):
            yield spec.dataloader.pose_config.skeleton()
        elif isinstance(spec, DatasetSpec):
            for category in spec.categories:
                if category.name in spec.people:
                    yield make_skeleton(category.name, category.keypoints, category.limbs)
