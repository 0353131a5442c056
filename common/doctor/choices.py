"""Choices: the number format that a training would take here, and the library that would run a network, and why."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from bodyposenet.common.doctor.libraries import is_there
from bodyposenet.common.doctor.line import Line

PATIENCE = 180.0  # seconds for TensorFlow's start and a measurement of less than one
WITHOUT = "TensorFlow is not installed: pip install 'bodyposenet[train]'"


@dataclass(frozen=True)
class Precision:
    """What a training with ``mixed_precision: auto`` computes in.

    Attributes:
        name: ``float32``, ``bfloat16`` or ``float16``; None where no training can run.
        reason: Why.
    """

    name: str | None
    reason: str


@dataclass(frozen=True)
class RunnerFinding:
    """A library that runs exported networks.

    Attributes:
        name: By which one asks for it.
        available: Whether it can run here.
        reason: Its version and what it does on this processor, or the command that installs it.
    """

    name: str
    available: bool
    reason: str


@dataclass(frozen=True)
class Choices:
    """What would be taken here.

    Attributes:
        precision: Of a training.
        runners: Among which the choice is made for each network, by a short measurement when it is first loaded.
    """

    precision: Precision
    runners: list[RunnerFinding]


def examine_choices() -> Choices:
    """Measure what a training would compute in, and list what can run networks."""
    from bodyposenet.common.deploy.runtime.runner_choice import list_runners

    runners = [RunnerFinding(found.name, found.available, found.reason) for found in list_runners()]
    return Choices(examine_precision(), runners)


def describe_choices(choices: Choices) -> Iterator[Line]:
    """Tell what would be taken, and why."""
    precision = choices.precision
    text = f"{precision.name}: {precision.reason}" if precision.name else precision.reason
    yield Line("training", text, is_problem=precision.name is None)
    for runner in choices.runners:
        yield Line(runner.name, runner.reason, is_problem=not runner.available)


def examine_precision() -> Precision:
    """Measure in a process of its own: TensorFlow ends one whose processor lacks what it was built for."""
    if not is_there("tensorflow"):
        return Precision(None, WITHOUT)
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        return Precision(None, f"TensorFlow did not start within {PATIENCE:.0f} s")
    return read_answer(done.returncode, done.stdout, done.stderr)


def read_answer(code: int, told: str, errors: str) -> Precision:
    """Return what the measuring process says, or what ended it.

    Args:
        code: Its exit code, negative if a signal ended it.
        told: Its standard output, of which the last line counts.
        errors: Its standard error.
    """
    if code == -signal.SIGILL:
        return Precision(None, "TensorFlow was built for instructions that this processor lacks")
    if code < 0:
        return Precision(None, f"TensorFlow was ended by {signal.Signals(-code).name}")
    if code:
        last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
        return Precision(None, f"TensorFlow does not start: {last}")
    return Precision(**json.loads(told.splitlines()[-1]))


def main() -> None:
    """Print the measured choice as JSON."""
    from bodyposenet.common.model.training.precision import take_precision

    choice = take_precision("auto")
    print(json.dumps(asdict(Precision(choice.name, choice.reason))))


if __name__ == "__main__":
    main()
