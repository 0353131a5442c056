"""Choice cache: forms that were chosen on this machine, kept for the next process; never beside the model."""

import json
import logging
import os
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bodyposenet.common.deploy.runtime.runner_choice import Choice, Trial
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.machine.cache_folder import find_cache_folder
from bodyposenet.common.machine.processor import Processor
from bodyposenet.common.spec.words import RunnerName
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.files import whole_file

log = logging.getLogger(__name__)

PART = "runners"
VERSION = 1  # raised when the forms or their rules change: earlier choices are then made anew
LIBRARIES = ("onnxruntime", "openvino", "onnx")
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@dataclass(frozen=True)
class Terms:
    """What a choice holds for.

    Attributes:
        digest: SHA-256 of the network.
        processor: Where it runs.
        threads: How many run it.
        runner: What was asked for.
    """

    digest: str
    processor: Processor
    threads: int
    runner: RunnerName

    @property
    def key(self) -> str:
        """A name for all of it and for the libraries' versions."""
        told = {
            "version": VERSION,
            "digest": self.digest,
            "processor": [self.processor.name, self.processor.architecture, sorted(self.processor.flags)],
            "threads": self.threads,
            "runner": self.runner,
            "libraries": {name: find_version(name) for name in LIBRARIES},
            "limits": {name: os.environ.get(name) for name in LIMITS},
        }
        return digest_settings(told)


def find_version(package: str) -> str | None:
    """Return an installed package's version; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def read_choice(terms: Terms) -> Choice | None:
    """Return the choice that was made on these terms; None if there is none that can be read."""
    file = _find_file(terms)
    return None if file is None else parse_choice(file)


def parse_choice(file: Path) -> Choice | None:
    """Return the choice that a file keeps; None if there is none that can be read."""
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, *MALFORMED):
        log.warning("%s cannot be read: what runs the network is chosen anew", file)
        return None


def write_choice(terms: Terms, choice: Choice) -> None:
    """Keep a choice; where nothing can be written, the next process chooses anew."""
    file = _find_file(terms)
    if file is None:
        return
    try:
        with whole_file(file) as written:
            written.write(json.dumps(asdict(choice)).encode())
    except (OSError, UserError) as error:
        log.debug("the choice of a runner is not kept: %s", error)


def _find_file(terms: Terms) -> Path | None:
    folder = find_cache_folder(PART)
    return None if folder is None else folder / f"{terms.key}.json"


def _parse(told: dict[str, Any]) -> Choice:
    trials = tuple(Trial(**trial) for trial in told.pop("trials"))
    height, width = told.pop("size")
    choice = Choice(**told, trials=trials, size=(int(height), int(width)))
    texts = (choice.form, choice.words, choice.instruction_set, choice.float_form)
    if not all(isinstance(text, str) for text in (*texts, *(trial.form for trial in trials))):
        raise TypeError("a text is wanted")
    return choice
