"""Main: ``bpnet``, TAO's verbs and flags; each verb checks its input and calls one library function."""

from typing import Any

import click

from bodyposenet import __version__
from bodyposenet.common.cli.adopt import adopt
from bodyposenet.common.cli.build_engine import build_engine
from bodyposenet.common.cli.bundle import bundle
from bodyposenet.common.cli.clean import clean
from bodyposenet.common.cli.convert import dataset_convert, dataset_join
from bodyposenet.common.cli.doctor import doctor
from bodyposenet.common.cli.evaluate import evaluate
from bodyposenet.common.cli.export import export
from bodyposenet.common.cli.inference import inference
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.prelabel import prelabel
from bodyposenet.common.cli.prune import prune
from bodyposenet.common.cli.sample_calibration import sample_calibration
from bodyposenet.common.cli.skeleton import skeleton
from bodyposenet.common.cli.spec import spec_group
from bodyposenet.common.cli.synthesize import synthesize
from bodyposenet.common.cli.tracking import tracking_group
from bodyposenet.common.cli.train import train
from bodyposenet.common.cli.verb_group import Verbs

NORMALIZE_DASHES = {"token_normalize_func": lambda name: name.replace("-", "_"), "max_content_width": 110}
BEGIN = example("bpnet inference photo.jpg")


@click.group(cls=Verbs, name="bpnet", context_settings=NORMALIZE_DASHES, epilog=BEGIN)
@click.version_option(__version__, prog_name="bpnet")
@click.pass_context
def main(ctx: click.Context, /, **launch: Any) -> None:
    """BodyPoseNet: find people's joints; train, prune, export and evaluate the network that does.

    Sizes are height, width in pixels. Wrong input ends with exit code 2 and says how to mend it.
    """
    ctx.obj = launch


main.add_command(adopt)
main.add_command(bundle)
main.add_command(build_engine)
main.add_command(clean)
main.add_command(dataset_convert)
main.add_command(dataset_join)
main.add_command(doctor)
main.add_command(evaluate)
main.add_command(export)
main.add_command(inference)
main.add_command(prelabel)
main.add_command(prune)
main.add_command(sample_calibration)
main.add_command(skeleton)
main.add_command(synthesize)
main.add_command(train)
main.add_command(spec_group)
main.add_command(tracking_group)


if __name__ == "__main__":
    main()
