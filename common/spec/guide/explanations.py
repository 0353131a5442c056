"""Explanations: what the docstring of a spec's class says of each key.

A key stands in its class's ``Attributes`` as ``name (unit): text``. A text that begins with ``Extension:`` is of a key
that TAO does not know; a sentence that begins with ``TAO`` says what TAO does otherwise.
"""

import functools
import inspect
import re
from dataclasses import dataclass

from pydantic import BaseModel

SECTION = "Attributes:"
ENTRY = re.compile(r"(?P<name>\w+)(?: \((?P<unit>[^()]+)\))?: (?P<text>.+)")
EXTENSION = "Extension: "
SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z])")
CLASS_NAME = "Which class this part is. The path of a module may stand before it, as in TAO."


@dataclass(frozen=True)
class Explanation:
    """What there is to say of a key.

    Attributes:
        effect: What it does, in whole sentences.
        unit: Of its number or numbers; nothing for texts and switches.
        tao: What TAO does otherwise; nothing where it does the same.
        is_extension: TAO does not know it.
    """

    effect: str = ""
    unit: str = ""
    tao: str = ""
    is_extension: bool = False

    @property
    def summary(self) -> str:
        """The first sentence, without a full stop."""
        return SENTENCE_END.split(self.effect)[0].rstrip(".")


@functools.cache
def read_explanations(model: type[BaseModel]) -> dict[str, Explanation]:
    """Read what a class's docstring says of its keys, by the names of its fields."""
    lines = (inspect.getdoc(model) or "").partition(f"\n{SECTION}\n")[2].splitlines()
    entries: list[str] = []
    for line in lines:
        if line.startswith(" " * 8):
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line.strip())
    found = [match for entry in entries if (match := ENTRY.fullmatch(entry))]
    known = {match["name"]: _explain(match["unit"] or "", match["text"]) for match in found}
    return {"class_name": Explanation(CLASS_NAME), **known}


def describe_model(model: type[BaseModel]) -> str:
    """Say what a class's keys are together: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split()).replace("``", "")


def _explain(unit: str, text: str) -> Explanation:
    effect = text.removeprefix(EXTENSION)
    is_extension = effect != text
    sentences = SENTENCE_END.split((effect[0].upper() + effect[1:]).replace("``", ""))  # no letter where code begins
    own = " ".join(each for each in sentences if not each.startswith("TAO "))
    tao = " ".join(each for each in sentences if each.startswith("TAO "))
    return Explanation(own, unit, tao, is_extension)
