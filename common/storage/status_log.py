"""Status log: what a task is doing, one JSON object a line, in TAO's ``status.json``."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, locate

Status = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]
FILE_NAME = "status.json"


class StatusLog:
    """Appends lines to ``<results_dir>/status.json``; the folder is made with the first line.

    Every line has ``date`` (month/day/year) and ``time`` (h:m:s), local and without leading zeros, ``status`` and
    ``verbosity``. Figures once given stay on every later line, as TAO's readers expect.

    Args:
        results_dir: The task's folder.
    """

    def __init__(self, results_dir: str | Path | Location) -> None:
        self.path = locate(results_dir) / FILE_NAME
        self._kept: dict[str, Mapping[str, Any]] = {}

    def write(
        self,
        status: Status,
        message: str = "",
        kpi: Mapping[str, Any] | None = None,
        graphical: Mapping[str, Any] | None = None,
        *,
        categorical: Mapping[str, Any] | None = None,
        verbosity: str = "INFO",
        **extra: object,
    ) -> None:
        """Append a line.

        Args:
            status: Where the task stands.
            message: For people.
            kpi: Figures that judge the outcome, such as AP.
            graphical: Figures to plot, such as the loss.
            categorical: Figures by category.
            verbosity: A logging level's name.
            **extra: Further keys of the line, such as ``epoch``.
        """
        for name, figures in {"categorical": categorical, "graphical": graphical, "kpi": kpi}.items():
            if figures is not None:
                self._kept[name] = figures
        line = _clock(datetime.now()) | {"status": status, "verbosity": verbosity}
        line |= ({"message": message} if message else {}) | extra | self._kept
        with translate_errors(self.path):
            self.path.append((json.dumps(line, default=_plain) + "\n").encode())


def _clock(now: datetime) -> dict[str, Any]:
    return {"date": f"{now.month}/{now.day}/{now.year}", "time": f"{now.hour}:{now.minute}:{now.second}"}


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, paths and time spans as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
