"""Rounds: prune a little and retrain, again and again, so that a network never loses much at once."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import MODEL_NAME, model_file
from bodyposenet.common.model.training.precision import read_precision
from bodyposenet.common.model.training.progress import HISTORY, read_history
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.prune.taylor import VIEWS, TrainingData
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.digests import digest_stream
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.json_files import read_json, take_mapping
from bodyposenet.common.storage.model_key import open_model_file

log = logging.getLogger(__name__)

PLAN, FIGURES, PRUNED = "rounds.json", "round.json", "pruned.keras"
ANOTHER = "give another folder"
BATCHES = 20  # that the criterion taylor looks at

OnEpoch = Callable[[int, Sequence[Mapping[str, float]]], None]


@dataclass(frozen=True)
class Round:
    """What one round came to.

    Attributes:
        number: From 1.
        params_before: Parameters that it began with.
        params: Parameters that it left.
        gflops_before: 1e9 floating-point operations of one picture, before it.
        gflops: The same of what it left.
        threshold: Of its pruning, given or found.
        history: Of its retraining, an entry an epoch.
    """

    number: int
    params_before: float
    params: float
    gflops_before: float
    gflops: float
    threshold: float
    history: list[dict[str, float]] = field(default_factory=list)


def prune_in_rounds(
    source: Path, folder: Path, settings: PruneSpec, retraining: TrainSpec, *, rounds: int, only: int | None = None,
    on_epoch: OnEpoch | None = None, on_checkpoint: Callable[[], None] | None = None,
) -> list[Round]:  # fmt: skip
    """Prune and retrain a network in rounds; run again on the same folder, it goes on where it was.

    Args:
        source: A model file, or a folder with a ``model.keras``.
        folder: Gets ``round_1/model.keras`` with its history, and so on; the highest number is the last.
        settings: Of all rounds together. A target is met by the last round, and each takes the same share of what it
            is given; a threshold is that of every round.
        retraining: What follows each pruning; its start is filled in.
        rounds: In all.
        only: Do so many of them only; all by default.
        on_epoch: Called with a round's number and new entries of its training's history.
        on_checkpoint: Called after each checkpoint of a training, and after each round.

    Returns:
        The rounds that are done.

    Raises:
        UserError: The folder holds rounds of something else, or see ``prune_file`` and ``train``.
        StoppedError: SIGTERM came; the same call goes on.
    """
    if rounds < 1:
        raise UserError(f"{rounds} rounds are none", where="rounds", fix="give 1 or more")
    folder, model = Path(folder), model_file(Path(source))
    _claim(folder, model, settings, retraining, rounds)
    done: list[Round] = []
    for number in range(1, 1 + (rounds if only is None else only)):
        place = folder / f"round_{number}"
        cut = cut_left(settings, done, to_go=rounds - number + 1)
        figures = _prune(model, place, number, cut, retraining)
        before = read_precision(folder / f"round_{number - 1}")  # computed in likewise, wherever this one runs
        history = _retrain(place, number, retraining, on_epoch, on_checkpoint, kept=before.name if before else "")
        if on_checkpoint:
            on_checkpoint()
        done.append(Round(**figures, history=history))
        log.info("round %d of %d: %s of %s parameters left", number, rounds, figures["params"], done[0].params_before)
        model = place / MODEL_NAME
    return done


def cut_left(settings: PruneSpec, done: Sequence[Round], *, to_go: int) -> PruneSpec:
    """Tell what the next round is to prune: a target's share of what it gets, so that the last one meets the target.

    Args:
        settings: Of all rounds together.
        done: The rounds so far.
        to_go: The rounds to come, the next one among them.
    """
    left = {
        "target_params": math.prod(one.params / one.params_before for one in done),
        "target_flops": math.prod(one.gflops / one.gflops_before for one in done if one.gflops_before),
    }
    targets = {key: target for key in left if (target := getattr(settings, key)) is not None}
    return settings.model_copy(
        update={key: min(1.0, (target / left[key]) ** (1 / to_go)) for key, target in targets.items()}
    )


def training_data(settings: PruneSpec, spec: TrainSpec) -> TrainingData | None:
    """Read what the settings' criterion and refitting look at; None if they look at nothing."""
    if settings.criterion != "taylor" and not settings.refit:
        return None
    return TrainingData.read(spec, BATCHES, views=VIEWS if settings.refit else 0)


def _claim(folder: Path, model: Path, settings: PruneSpec, retraining: TrainSpec, rounds: int) -> None:
    """Note in the folder what its rounds are of; one that holds others is left alone."""
    with open_model_file(model) as file:  # the content: a file encrypted again is another, its network the same
        digest = digest_stream(file)
    plan = {
        "source": digest,
        "rounds": rounds,
        "prune": settings.model_dump(mode="json"),
        "retrain": retraining.model_dump(mode="json", by_alias=True, exclude={"key"}),
    }
    path = folder / PLAN
    if not path.is_file():
        _write(path, plan)
    elif read_json(path, take_mapping, what="plan of rounds", fix=ANOTHER) != plan:
        raise UserError("holds rounds of another network, or with other settings", where=str(folder), fix=ANOTHER)


def _prune(model: Path, place: Path, number: int, cut: PruneSpec, retraining: TrainSpec) -> dict[str, Any]:
    """Prune for a round, if that is not done; its figures."""
    if not (place / FIGURES).is_file():
        done = prune_file(model, place / PRUNED, cut, data=training_data(cut, retraining))
        figures = Round(
            number, done.params_before, done.params_after, done.gflops_before, done.gflops_after, done.threshold
        )
        _write(place / FIGURES, {name: value for name, value in asdict(figures).items() if name != "history"})
    return read_json(place / FIGURES, _take_figures, what="round's figures", fix=ANOTHER)


def _take_figures(data: Any) -> dict[str, Any]:
    if not all(isinstance(value, int | float) for value in asdict(Round(**data)).values() if value != []):
        raise TypeError("a figure is no number")
    return dict(data)


def _retrain(
    place: Path, number: int, retraining: TrainSpec, on_epoch: OnEpoch | None,
    on_checkpoint: Callable[[], None] | None, *, kept: str,
) -> list[dict[str, float]]:  # fmt: skip
    """Retrain what a round has pruned, if that is not done; the history."""
    if not (place / MODEL_NAME).is_file():
        from bodyposenet.common.evaluation.validation import make_validation
        from bodyposenet.common.model.training.plan import make_plan
        from bodyposenet.common.model.training.train import train

        start = {"pretrained_weights": str(place / PRUNED), "load_graph": True}
        spec = retraining.model_copy(update=start | {"final_model_name": Path(MODEL_NAME).stem})
        plan = make_plan(spec)
        train(
            spec, place, source=plan.source, validate=make_validation(plan),
            on_epoch=None if on_epoch is None else lambda entries: on_epoch(number, entries), kept=kept,
            on_checkpoint=on_checkpoint,
        )  # fmt: skip
    for left in (*place.glob("model.epoch-*"), *place.glob(PRUNED)):
        left.unlink()
    return read_history(place / HISTORY)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=1).encode())
