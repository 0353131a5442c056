"""Stages: the tasks of a compiled pipeline by their titles, and the number that says most of each."""

import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

from bodyposenet.common.pages.numbers import count, percent, pluralize, precision, size
from bodyposenet.pipelines.here.messages import News

Numbers = Mapping[str, float]
NOBODY = -1.0  # an AP where there is nobody to find


def titles(document: Mapping[str, Any]) -> list[str]:
    """The titles of all tasks of a pipeline's YAML, each after those that it waits for."""
    return list(_titles(document, document["root"]))


def _titles(document: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    tasks = part["dag"]["tasks"]
    for name in TopologicalSorter(
        {name: task.get("dependentTasks", ()) for name, task in tasks.items()}
    ).static_order():
        task = tasks[name]
        component = document["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from _titles(document, component)
        else:
            yield task["taskInfo"]["name"]


def _ap(name: str) -> Callable[[Numbers], str]:
    return lambda numbers: f"AP {precision(numbers[name])}" if numbers.get(name, NOBODY) != NOBODY else ""


def _photos(numbers: Numbers) -> str:
    return f"{numbers['metrics.train_images']:.0f} + {numbers['metrics.val_images']:.0f} photos"


def _int8_form(numbers: Numbers) -> str:
    return f"{size(numbers['metrics.bytes_cpu'])}, {numbers['metrics.kept_in_float']:.0f} convolutions in float"


def _rounds(numbers: Numbers) -> str:
    return pluralize(int(numbers["metrics.rounds"]), "round") if numbers["metrics.rounds"] else "none"


TELLING: dict[str, Callable[[Numbers], str]] = {
    "dataset-join": _photos,
    "train": _ap("model.ap"),
    "retrain": _ap("model.ap"),
    "prune-rounds": _rounds,
    "prune": lambda numbers: f"{percent(numbers['Output'])} left: {count(numbers['pruned.params'])} parameters",
    "export": lambda numbers: size(numbers["metrics.bytes"]),
    "sample-calibration": lambda numbers: f"{numbers['metrics.images']:.0f} photos",
    "calibrate": _int8_form,
    "evaluate": _ap("Output"),
    "gate": lambda numbers: "good enough" if numbers["Output"] else "not good enough",
    "challenge": _ap("Output"),
    "start": _ap("ap"),
    "photo": lambda numbers: f"{pluralize(int(numbers['people']), 'person')} found",
    "forecast": lambda numbers: f"about {minutes(numbers['seconds'])}",
}


def minutes(seconds: float) -> str:
    """A length of time as one would say it."""
    return "a minute" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def key_number(news: News) -> str:
    """The number that says most of what a task has done; nothing where there is none."""
    known = [name for name in TELLING if re.fullmatch(rf"{name}(-\w+)?", news.component)]  # evaluate-base, evaluate-2
    try:
        return TELLING[max(known, key=len)](news.numbers) if known else ""
    except KeyError:  # another version of the component puts out other numbers
        return ""
