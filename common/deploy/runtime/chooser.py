"""Chooser: tries the forms of a network on one picture, and takes the fastest that is right."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from bodyposenet.common.deploy.runtime.agreement import map_error
from bodyposenet.common.deploy.runtime.choice_cache import Terms, read_choice, write_choice
from bodyposenet.common.deploy.runtime.forms import (
    FORMS,
    ONNXRUNTIME_EXACT,
    ONNXRUNTIME_FLOAT,
    Change,
    Compute,
    Form,
    is_allowed,
    is_quantized,
    list_forms,
    name_instruction_set,
    open_form,
    word_form,
)
from bodyposenet.common.deploy.runtime.runner_choice import Choice, Trial, list_runners, pick
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import Processor, count_cores, read_processor
from bodyposenet.common.spec.words import RunnerName
from bodyposenet.common.storage.digests import digest_bytes

log = logging.getLogger(__name__)

# Of the maps: the same numbers in another library make up to .03, other numbers .02 to .09; OpenVINO makes .19 of the
# form for TensorRT, which it computes wrongly
LARGEST_ERRORS: Mapping[Change, float] = {"": 0.05, "narrow": 0.12, "float": 0.12}
TURNS = 12  # timed runs of each form
ENOUGH = 2  # of them, where they take long
SECONDS = 2.0  # after which no further turn begins
HOPELESS = 3.0  # times as long as the fastest: not run again
SCENE = (192, 256)  # what the picture is drawn at


@dataclass(frozen=True)
class Chooser:
    """Decides how one network runs on one machine.

    Attributes:
        content: The ONNX file's bytes.
        runner: What was asked for.
        threads: As many as there are cores if None.
        processor: What to suppose.
        where: What messages call the network.
        exact: The network in its exact form, where that is open already.
        at_once: Calls that will come at the same time, of which each has a share of the threads in ONNX Runtime.
    """

    content: bytes
    runner: RunnerName = "auto"
    threads: int | None = None
    processor: Processor = field(default_factory=read_processor)
    where: str = "the model"
    exact: Compute | None = None
    at_once: int = 1

    @property
    def quantized(self) -> bool:
        """Whether the network computes in 8 bits."""
        return is_quantized(self.content)

    def choose(self, draw: Callable[[], np.ndarray]) -> tuple[Compute, Choice]:
        """Return what is to compute the maps, and why: as it was chosen before, else after a short measurement.

        Args:
            draw: Draws a picture as the network takes it, of the size at hand; called only for a measurement.

        Raises:
            UserError: Nothing that was asked for can run the network rightly.
        """
        digest = digest_bytes(self.content)
        terms = Terms(digest, self.processor, self.threads or count_cores(), self.runner)
        known = read_choice(terms)
        reopened = known and self._reopen(known)
        if known and reopened:
            return reopened, known
        compute, choice = self._measure(draw())
        write_choice(terms, choice)
        return compute, choice

    def describe_exact(self) -> Choice:
        """Return the choice of the exact form, which needs no measurement."""
        words = word_form(ONNXRUNTIME_EXACT, self.quantized, "f32")
        found = name_instruction_set(ONNXRUNTIME_EXACT, self.quantized, "f32", self.processor)
        return Choice(ONNXRUNTIME_EXACT.name, words, found)

    def _reopen(self, choice: Choice) -> Compute | None:
        """Open a form that was chosen before; None if that cannot be done any more."""
        form = next((form for form in FORMS if form.name == choice.form), None)
        try:
            return self._open_form(form, self.at_once)[0] if form else None
        except Exception as error:  # whatever a library raises: it is then chosen anew
            log.warning("%s no longer runs in %s: %s", self.where, choice.words, _first_line(error))
            return None

    def _open_form(self, form: Form, at_once: int) -> tuple[Compute, str]:
        """Open the network in a form, and tell its precision; the exact one is not opened twice."""
        if form is ONNXRUNTIME_EXACT and self.exact is not None and at_once == self.at_once:
            return self.exact, "f32"
        return open_form(form, self.content, self.threads, self.processor, at_once)

    def _measure(self, picture: np.ndarray) -> tuple[Compute, Choice]:
        """Try the forms with all threads each, and return the best with its share of them."""
        forms = list_forms(self.quantized, self.processor)
        computes, precisions, trials = self._open(forms, picture)
        times = time_in_turn(computes, picture)
        trials = {name: Trial(name, times.get(name), trial.error, trial.reason) for name, trial in trials.items()}
        plain = ONNXRUNTIME_FLOAT.name if self.quantized else ONNXRUNTIME_EXACT.name
        allowed = [form.name for form in forms if is_allowed(form, self.runner)]
        name = pick(list(trials.values()), plain, allowed)
        if name is None:
            raise self._refuse([trials[form] for form in allowed])
        form = next(form for form in forms if form.name == name)
        words = word_form(form, self.quantized, precisions[name])
        found = name_instruction_set(form, self.quantized, precisions[name], self.processor)
        size = (picture.shape[1], picture.shape[2])
        shared = self.at_once > 1 and form.library == "onnxruntime"
        compute = self._open_form(form, self.at_once)[0] if shared else computes[name]
        return compute, Choice(name, words, found, tuple(trials.values()), plain, size)

    def _open(
        self, forms: list[Form], picture: np.ndarray
    ) -> tuple[dict[str, Compute], dict[str, str], dict[str, Trial]]:
        """Open the forms and hold their maps to those of the first."""
        computes: dict[str, Compute] = {}
        precisions: dict[str, str] = {}
        trials: dict[str, Trial] = {}
        reference = None
        for form in forms:
            try:
                compute, precision = self._open_form(form, at_once=1)
                maps = compute(picture)
            except Exception as error:  # whatever a library raises, or that it is not installed
                if form is ONNXRUNTIME_EXACT:
                    raise
                trials[form.name] = Trial(form.name, reason=_first_line(error))
                continue
            reference = maps if reference is None else reference
            trials[form.name] = judge(form, map_error(reference, maps))
            computes[form.name], precisions[form.name] = compute, precision
        return computes, precisions, trials

    def _refuse(self, trials: list[Trial]) -> UserError:
        missing = next((state for state in list_runners() if state.name == self.runner and not state.available), None)
        if missing:
            return UserError(f"{missing.name} is {missing.reason}", where="--runner", fix="or use --runner auto")
        reasons = "; ".join(f"{trial.form}: {trial.reason}" for trial in trials)
        return UserError(f"{self.runner} cannot run it rightly ({reasons})", where=self.where, fix="use --runner auto")


def judge(form: Form, error: float) -> Trial:
    """Return a trial that says whether a form's maps are near enough to the exact ones."""
    if not math.isfinite(error):
        return Trial(form.name, reason="its maps hold NaN or infinity, or have other shapes")
    right = error <= LARGEST_ERRORS[form.change]
    return Trial(form.name, error=error, reason="" if right else f"its maps differ by {error:.2f} from the exact ones")


def time_in_turn(computes: Mapping[str, Compute], picture: np.ndarray) -> dict[str, float]:
    """Return the shortest time of each, in milliseconds; they take turns, so that a busy machine slows all alike.

    Args:
        computes: By name; each has run once.
        picture: What to run on.
    """
    least = dict.fromkeys(computes, float("inf"))
    end = time.perf_counter() + SECONDS
    for turn in range(TURNS):
        if turn >= ENOUGH and time.perf_counter() > end:
            break
        for name, compute in computes.items():
            if turn >= ENOUGH and least[name] > HOPELESS * min(least.values()):
                continue
            start = time.perf_counter()
            compute(picture)
            least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
    return least


@cache
def draw_photo(size: tuple[int, int]) -> np.ndarray:
    """Draw the picture that forms are held to: people before a background, as a camera sees them.

    Args:
        size: ``(height, width)`` in pixels.

    Returns:
        RGB uint8 ``(H, W, 3)``, always the same.
    """
    import cv2

    from bodyposenet.common.data.synthetic.scenes import random_scene

    image = random_scene(np.random.default_rng(0), SCENE).image
    photo: np.ndarray = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return photo


def _first_line(error: Exception) -> str:
    """Return what an error says, without the places in a library's source that some begin with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (told or lines or [type(error).__name__])[0]
