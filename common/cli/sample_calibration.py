"""Sample-calibration verb: photos to calibrate a quantized network with."""

from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import click

from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.options import RESULTS, PlaceType, example, log_level_option, option
from bodyposenet.common.cli.printing import json_option, say

if TYPE_CHECKING:
    from bodyposenet.common.storage.location import Location

EXAMPLE = example(
    "bpnet sample_calibration -a data/annotations/person_keypoints_train2017.json -i data/train2017 \\",
    "    -o data/calibration -n 2000 -pth 1 -kth 5",
)


@click.command("sample_calibration", cls=Verb, epilog=EXAMPLE)
@option(
    "-a",
    "--annotation_file",
    required=True,
    type=PlaceType(),
    help="COCO keypoints, or what another tool exports: docs/data.md.",
)
@option("-i", "--image_root_dir", required=True, type=PlaceType(), help="Folder or zip archive of its photos.")
@option("-o", "--output_image_root_dir", required=True, type=PlaceType(), help="Folder to write: absent, or empty.")
@option("-n", "--num_images", default=500, type=click.IntRange(1), help="Photos to choose, exactly.")
@option("-pth", "--min_persons_per_image", default=1, type=click.IntRange(0), help="People that a photo must have.")
@option("-kth", "--min_kpts_per_person", default=5, type=click.IntRange(0), help="Labelled joints of each of them.")
@option("-r", "--randomize", is_flag=True, help="Choose other photos every time; the seed is told.")
@option("--seed", type=click.IntRange(0), help="The same seed chooses the same photos.  [default: 0]")
@option("--results_dir", type=PlaceType(), help=RESULTS)
@json_option
@log_level_option
def sample_calibration(
    annotation_file: Path,
    image_root_dir: Path,
    output_image_root_dir: "Location",
    num_images: int,
    min_persons_per_image: int,
    min_kpts_per_person: int,
    *,
    randomize: bool,
    seed: int | None,
    **options: Path | str | None,
) -> None:
    """Copy photos that stand for a whole set, to calibrate int8 with: the same mixture of people, joints and sizes."""
    from bodyposenet.common.data.sampling.calibration_sample import refuse_full
    from bodyposenet.common.data.sampling.calibration_sample import sample_calibration as choose
    from bodyposenet.common.storage.together import fill_folder

    if seed is None:
        seed = SystemRandom().randrange(1_000_000) if randomize else 0
    folder = results_dir(options["results_dir"], output_image_root_dir.parent, bucket=True)
    refuse_full(output_image_root_dir)
    with fill_folder(output_image_root_dir) as (aside, publish), task("sample_calibration", folder) as run:
        done = choose(
            annotation_file,
            image_root_dir,
            aside,
            num_images=num_images,
            min_persons=min_persons_per_image,
            min_kpts=min_kpts_per_person,
            seed=seed,
        )
        publish()
        run.log_metrics({"photos": len(done.photos), "qualified": done.qualified, "left_out": len(done.left_out)})
    chosen = f"{len(done.photos)} of {done.qualified} photos that qualify, --seed {seed}"
    replaced = f"; {len(done.left_out)} could not be read, others stand in for them" if done.left_out else ""
    say(
        f"wrote {output_image_root_dir}: {chosen}{replaced}",
        folder=output_image_root_dir, photos=len(done.photos), qualified=done.qualified, left_out=len(done.left_out),
        seed=seed,
    )  # fmt: skip
