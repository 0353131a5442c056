"""Tracked: what the MLflow store that the environment names knows of a run, where it names one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bodyposenet.common.tracking.history import TaskRow
from bodyposenet.common.tracking.mlflow_store import impatient, reason, tracking_uri

T = TypeVar("T")
PAUSE = 120  # seconds until a store that did not answer is asked again
AP, BASE_AP = "ap", "base_ap"
EVALUATED, SCORE = "evaluate_", "AP_0.50-0.95_all"  # tasks that evaluate a network, and what they log


@dataclass
class Tracked:
    """Asks the store, as long as it answers: what follows a run does not end because of it.

    Attributes:
        run_id: Kubeflow's id of the run.
        say: Tells that the store does not answer, once.
        known: There is a store.
        again: When it is to be asked again, by ``time.monotonic``: a while after a question without an answer.
    """

    run_id: str
    say: Callable[[str], object]
    known: bool = field(default_factory=lambda: bool(tracking_uri()))
    again: float = 0.0

    def ask(self, question: Callable[[str], T], otherwise: T) -> T:
        """Ask a question about the run; where nobody answers the answer is ``otherwise``."""
        if not self.known or time.monotonic() < self.again:
            return otherwise
        try:
            with impatient():
                return question(self.run_id)
        except Exception as error:  # whatever is wrong with the store, the run is followed on
            if not self.again:
                self.say(f"MLflow does not tell of the tasks: {reason(error)}")
            self.again = time.monotonic() + PAUSE
            return otherwise


def list_aps(rows: Sequence[TaskRow]) -> dict[str, float]:
    """List the AP of each network that a run has measured, by the network's name."""
    found: dict[str, float] = {}
    for row in rows:
        if row.name.startswith(EVALUATED) and SCORE in row.metrics:
            found[row.name.removeprefix(EVALUATED)] = row.metrics[SCORE]
        found |= {key.removesuffix(".ap"): value for key, value in row.metrics.items() if key.endswith(".ap")}
        if BASE_AP in row.metrics and AP in row.metrics:
            found |= {"base": row.metrics[BASE_AP], "chosen": row.metrics[AP]}
    return {name: ap for name, ap in found.items() if ap >= 0}
