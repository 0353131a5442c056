"""Rounds of pruning on a few drawn people, run in a process of its own that may be killed."""

import sys
from pathlib import Path

from support.drawn_records import convert_drawn, records_of
from support.tiny_training import SMALL, tiny_spec

from bodyposenet.common.spec.prune import PruneSpec

SETTINGS = PruneSpec(target_params=0.4, pruning_granularity=1, min_num_filters=2)
ROUNDS = 2


def retraining_of(folder, epochs=3):
    """A train spec for the records of :func:`convert_drawn` in ``folder``."""
    loader = tiny_spec().dataloader.model_dump(mode="json", by_alias=True)
    loader |= {"batch_size": 2, "dataset_config": records_of(folder)}
    model = {"stages": 1, "stage1_kernel_sizes": [3], "backbone_attributes": SMALL | {"width_multiplier": 0.125}}
    often = {"checkpoint_n_epoch": 1, "max_ckpt_to_keep": 1, "validation_every_n_epoch": 100}
    return tiny_spec(num_epoch=epochs, dataloader=loader, model=model, **often)


def prepare(folder):
    """Records, and a base network with the weights that it begins with."""
    import keras

    from bodyposenet.common.model.files.model_file import save_model
    from bodyposenet.common.model.training.initial_network import starting_network
    from bodyposenet.common.model.training.plan import make_plan

    convert_drawn(folder)
    spec = retraining_of(folder)
    plan = make_plan(spec)
    keras.utils.set_random_seed(0)
    save_model(starting_network(spec, plan.skeleton, None), folder / "base.keras", plan.card)


def run(folder, name="rounds", **options):
    """All rounds, in ``<folder>/<name>``."""
    from bodyposenet.common.prune.rounds import prune_in_rounds

    given = {"rounds": ROUNDS} | options
    return prune_in_rounds(folder / "base.keras", folder / name, SETTINGS, retraining_of(folder), **given)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
