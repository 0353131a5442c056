"""Skeleton verbs: what is known of bodies."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import PlaceType, example, option, path_map_option
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.cli.verb_group import WholeSentences
from bodyposenet.common.pages.numbers import pluralize

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap


@click.group("skeleton", cls=WholeSentences)
def skeleton() -> None:
    """Fit to a skeleton how people are built, by which decoding tells them apart."""


@skeleton.command("fit", cls=ErrorHandlingCommand, epilog=example("bpnet skeleton fit -d coco_spec.json -o prior.json"))
@option("-d", "--dataset_spec", required=True, type=click.Path(), help="Dataset spec; its training half is read.")
@option("-o", "--output_file", required=True, type=PlaceType(), help="The prior, JSON.")
@option("-p", "--pose_config", type=click.Path(), help="Pose config with the skeleton.  [default: TAO's 18 joints]")
@path_map_option
@json_option
def fit(dataset_spec: str, output_file: Path, pose_config: str | None, path_map: "PathMap") -> None:
    """Fit the build of bodies, by which decoding joins the pieces of people; name it as "prior" in the pose config."""
    from bodyposenet.common.data.annotations.body_prior import fit_dataset_prior
    from bodyposenet.common.pose.body_prior import write_prior
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.pose_config import load_skeleton

    spec = load_spec(dataset_spec, DatasetSpec, path_map=path_map)
    bones = load_skeleton(pose_config, path_map=path_map)
    prior, people = fit_dataset_prior(spec, bones)
    write_prior(output_file, prior, bones)
    fitted = f"{bones.num_joints} joints, fitted to {pluralize(people, 'person')}"
    say(f"wrote {output_file}: {fitted}", prior=output_file, joints=bones.num_joints, people=people)
