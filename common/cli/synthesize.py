"""Synthesize verb: drawn people as a dataset."""

from pathlib import Path

import click

from bodyposenet.common.cli.launcher import Verb
from bodyposenet.common.cli.options import SIZE, DiskType, common_options, example, option
from bodyposenet.common.cli.printing import say


@click.command("synthesize", cls=Verb, epilog=example("bpnet synthesize -o data/drawn --train 600 --val 200 --seed 0"))
@option("-o", "--output", required=True, type=DiskType(file_okay=False), help="Folder to write.")
@option("--train", "train_images", default=600, type=click.IntRange(1), help="Pictures to train on.")
@option("--val", "val_images", default=200, type=click.IntRange(1), help="Pictures held out.")
@option("--seed", default=0, help="The same seed draws the same pictures.")
@option("--size", default="360,480", type=SIZE, metavar="HEIGHT,WIDTH", help="Of the pictures, in pixels.")
@common_options
def synthesize(output: Path, train_images: int, val_images: int, seed: int, size: tuple[int, int], **_: object) -> None:
    """Draw pictures of people with their keypoints, as a COCO-format dataset."""
    from bodyposenet.common.data.synthetic.dataset import synthesize as draw

    draw(output, train=train_images, val=val_images, seed=seed, size=size)
    say(
        f"wrote {output}: {train_images} pictures to train on, {val_images} held out, {size[0]}x{size[1]}",
        folder=output, train_images=train_images, val_images=val_images, image_size=size,
    )  # fmt: skip
