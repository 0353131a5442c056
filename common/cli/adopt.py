"""Adopt verb: the flags of ``bpnet adopt``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.options import (
    DiskType,
    PlaceType,
    common_options,
    example,
    key_option,
    option,
    path_map_option,
)
from bodyposenet.common.cli.printing import say

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap

EXAMPLE = example(
    "bpnet adopt human-pose-estimation-0001.xml -o people.keras --photos data/val2017 \\",
    "    --licence 'Apache-2.0, Intel, Open Model Zoo'",
    "bpnet adopt deployable_onnx_v1.0.1/model.onnx --as tao-bodyposenet -o tao.keras --photos data/val2017",
)
FAMILIES = ("lightweight-openpose", "tao-bodyposenet", "openpose")


@click.command("adopt", cls=Verb, epilog=EXAMPLE)
@click.argument("file", type=DiskType())
@option("--as", "family", type=click.Choice(FAMILIES), help="Whose form.  [default: found by its outputs' names]")
@option("-o", "--output_file", required=True, type=DiskType(), help="Keras model to write.")
@option("--photos", type=PlaceType(), help="Folder or zip of photos with people, by which the maps are checked.")
@option("--most_photos", default=12, type=click.IntRange(1), help="Photos to look at, at most.")
@option("--colours", type=click.Choice(["rgb", "bgr"]), help="Order of the channels it reads.  [default: its form's]")
@option("--scale", type=click.FloatRange(0, min_open=True), help="Pixels from 0 to 255 are divided by it.")
@option("--offset", type=float, help="What is taken from the quotient.")
@option("--pose_config", type=click.Path(), help="Its joints and limbs by channel.  [default: OpenPose's 18]")
@option("--licence", default="", help="Under which it was published; kept in the model's card.")
@option("--tao_key", help="Key of a .tlt or .etlt that NVIDIA's tools encrypted.  [default: that of -k]")
@path_map_option
@key_option
@common_options
def adopt(
    file: Path, output_file: Path, photos: Path | None, most_photos: int, pose_config: str | None, licence: str,
    tao_key: str | None, path_map: "PathMap", **options: Any,
) -> None:  # fmt: skip
    """Make a model of an open network that somebody else trained, to run, prune, train and export as any other.

    FILE is ONNX, OpenVINO's .xml with its .bin beside it, TAO's .hdf5, or a .tlt or .etlt that NVIDIA's tools
    encrypted; for these, NVIDIA's codec must be installed.
    """
    from bodyposenet.common.spec.pose_config import load_skeleton
    from bodyposenet.common.steps.adopt import run_adopt
    from bodyposenet.common.storage.together import Together, refuse_existing

    refuse_existing(output_file)
    skeleton = load_skeleton(pose_config, path_map=path_map)
    asked = {name: options[name] for name in ("family", "colours", "scale", "offset")}
    folder = results_dir(options["results_dir"], output_file.parent)
    with Together(output_file) as files, task("adopt", folder) as run:
        lines, numbers = run_adopt(
            run, file, files, skeleton=skeleton, asked=asked, photos=photos, most=most_photos,
            licence=licence, tao_key=tao_key,
        )  # fmt: skip
    say("\n".join(lines), model=output_file, **numbers)
