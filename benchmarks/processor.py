"""Processor: which one a group was measured on, and the bounds that can be asked of it."""

import os
from types import ModuleType
from typing import Any

from bodyposenet.common.machine.processor import read_processor

LIMIT = "ONEDNN_MAX_CPU_ISA"
ROWS = dict[str, tuple[str, str]]


def describe_processor() -> str:
    """Name and instruction sets of this processor, and the limit that oneDNN, and so TensorFlow, was given."""
    here = read_processor()
    limit = os.environ.get(LIMIT)
    return f"{here.name}: {', '.join(here.instruction_sets)}{f'; {LIMIT}={limit}' if limit else ''}"


def asked(name: str, group: ModuleType, results: dict[str, Any]) -> ROWS:
    """The rows of a group; without the bounds of those that need VNNI if it was measured where there is none."""
    needs = getattr(group, "NEEDS_VNNI", ())
    if "VNNI" in results.get(f"processor_{name}", "VNNI"):
        return dict(group.ROWS)
    return {key: (what, "" if key in needs else bound) for key, (what, bound) in group.ROWS.items()}


def measured_on(results: dict[str, Any]) -> str:
    """Paragraph that says which groups were measured on which processor; those of old have no word of it."""
    places: dict[str, list[str]] = {}
    for key, place in sorted(results.items()):
        if key.startswith("processor_"):
            places.setdefault(place, []).append(key.removeprefix("processor_"))
    return "".join(f"\n`{'`, `'.join(groups)}`: measured on {place}.\n" for place, groups in places.items())
