"""Runner choice: what can run exported networks here, and which of it was chosen for one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

from bodyposenet.common.machine.processor import Processor, read_processor
from bodyposenet.common.spec.words import RunnerName

EXACT: RunnerName = "exact"
MARGIN = 1.1  # by which another form must be faster than the exact one, so that chance does not choose
WITH_VNNI = "8-bit products are added in 32 bits"
WITHOUT_VNNI = "no VNNI here: 8-bit networks run in the slow, exact way, with narrower weights, or in float"


class RunnerState(NamedTuple):
    """Whether a library can run exported networks here.

    Attributes:
        name: By which one asks for it.
        available: Whether it is installed.
        reason: Its version and what it does on this processor, or the command that installs it.
    """

    name: RunnerName
    available: bool
    reason: str


def list_runners(processor: Processor | None = None) -> list[RunnerState]:
    """List the libraries that ``auto`` chooses among, without importing them.

    Args:
        processor: What to suppose; the one at hand if None.
    """
    arithmetic = WITH_VNNI if (processor or read_processor()).adds_exactly else WITHOUT_VNNI
    return [_find("onnxruntime", "deploy", arithmetic), _find("openvino", "openvino", arithmetic)]


def _find(name: RunnerName, extra: str, arithmetic: str) -> RunnerState:
    if find_spec(name) is None:
        return RunnerState(name, False, f"not installed: pip install 'bodyposenet[{extra}]'")
    return RunnerState(name, True, f"{version(name)}: {arithmetic}")


@dataclass(frozen=True)
class Trial:
    """What came of trying one form of a network.

    Attributes:
        form: Its name.
        milliseconds: The shortest of a few runs on one picture; None where it did not come to that.
        error: Of its maps against those of the exact form, as :func:`map_error` counts; None where that is not finite.
        reason: Why it cannot be taken; nothing if it can.
    """

    form: str
    milliseconds: float | None = None
    error: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """The form in which a network runs here.

    Attributes:
        form: Its name.
        words: What runs it, in which numbers.
        instruction_set: What of the processor that takes; nothing where that is not known.
        trials: What was tried; nothing if the form was asked for.
        float_form: The form that is the float network in ONNX Runtime.
        size: ``(height, width)`` of the picture that was measured.
    """

    form: str
    words: str
    instruction_set: str = ""
    trials: tuple[Trial, ...] = ()
    float_form: str = ""
    size: tuple[int, int] | None = None

    @property
    def milliseconds(self) -> float | None:
        """What one picture took."""
        return find_time(self.trials, self.form)

    @property
    def speed_up(self) -> float | None:
        """How many times as fast as the float network in ONNX Runtime it is; None if that was not measured."""
        own, plain = self.milliseconds, find_time(self.trials, self.float_form)
        return plain / own if own and plain else None

    def name(self) -> str:
        """Say what runs, on which instruction set."""
        return f"{self.words} ({self.instruction_set})" if self.instruction_set else self.words

    def describe(self) -> str:
        """Say what runs, on which instruction set, how fast, in one line."""
        if self.milliseconds is None or self.speed_up is None or self.size is None:
            return self.name()
        at = f"{self.milliseconds:.1f} ms at {self.size[0]}x{self.size[1]}"
        return f"{self.name()}: {at}, {self.speed_up:.1f} times as fast as float in ONNX Runtime"


def find_time(trials: Sequence[Trial], form: str) -> float | None:
    """Return the milliseconds of a form; None if it was not timed."""
    return next((trial.milliseconds for trial in trials if trial.form == form), None)


def pick(trials: Sequence[Trial], float_form: str, allowed: Sequence[str]) -> str | None:
    """Return the fastest form that is right; the exact one unless another is clearly faster.

    Args:
        trials: What was tried.
        float_form: The form that the chosen one must not be slower than.
        allowed: Names of the forms that may be chosen.

    Returns:
        Its name; None if none of those that are allowed is right.
    """
    times = {trial.form: trial.milliseconds for trial in trials if trial.milliseconds and not trial.reason}
    open_to = {form: time for form, time in times.items() if form in allowed}
    if not open_to:
        return None
    fastest = min(open_to, key=lambda form: open_to[form])
    exact, plain = open_to.get(EXACT), times.get(float_form, float("inf"))
    if exact is not None and exact <= plain and exact <= MARGIN * open_to[fastest]:
        return EXACT
    return fastest
