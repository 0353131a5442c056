"""Status log: what a task is doing, one JSON object a line, in TAO's ``status.json``."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from bodyposenet.common.storage.files import as_path, is_remote, rewrite

Status = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]
FILE_NAME = "status.json"


class StatusLog:
    """Appends lines to ``<results_dir>/status.json``; the folder is made with the first line.

    Every line has ``date`` (month/day/year) and ``time`` (h:m:s), local and without leading zeros, ``status`` and
    ``verbosity``. Figures once given stay on every later line, as TAO's readers expect.

    Args:
        results_dir: The task's folder.
    """

    def __init__(self, results_dir: str | Path) -> None:
        self.path = as_path(results_dir) / FILE_NAME
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
        now = datetime.now()
        line: dict[str, Any] = {"date": f"{now.month}/{now.day}/{now.year}"}
        line |= {"time": f"{now.hour}:{now.minute}:{now.second}", "status": status, "verbosity": verbosity}
        line |= ({"message": message} if message else {}) | extra | self._kept
        # NumPy's numbers and arrays as JSON has them, paths and time spans as text
        text = json.dumps(line, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))
        self._append(f"{text}\n")

    def _append(self, line: str) -> None:
        if is_remote(self.path):
            rewrite(self.path, lambda before: (before or b"") + line.encode())
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
