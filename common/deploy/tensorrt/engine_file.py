"""Engine files: an engine and, beside it, the JSON that says what it is and how to feed and read it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.deploy.tensorrt.engine_library import Shape
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.words import EngineLibrary
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.storage.files import read_bytes, whole_file
from bodyposenet.common.storage.together import Together

ENGINE_SUFFIXES = (".engine", ".plan", ".trt")


@dataclass(frozen=True)
class EngineCard:
    """What an engine file does not tell.

    Attributes:
        library: That built it, and that alone can run it.
        version: Of the library; another may refuse the engine.
        gpus: Kinds of GPU that it runs on, by compute capability.
        precision: Types that its convolutions compute in: fp32, fp16 or int8.
        shapes: Of the input ``(batch, height, width, 3)``: ``min``, ``opt`` and ``max``.
        workspace: Bytes that layers may use.
        onnx: Name and sha256 of the model it was built of.
        sha256: Of the engine.
        model: The network's card.
    """

    library: EngineLibrary
    version: str
    gpus: tuple[str, ...]
    precision: str
    shapes: dict[str, Shape]
    workspace: int
    onnx: dict[str, str]
    sha256: str
    model: Card

    def to_dict(self) -> dict[str, Any]:
        """This card as plain JSON data."""
        return asdict(self) | {"model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "EngineCard":
        """The inverse of :meth:`to_dict`."""
        shapes = {name: tuple(map(int, data["shapes"][name])) for name in ("min", "opt", "max")}
        changed = {"gpus": tuple(data["gpus"]), "shapes": shapes, "model": Card.from_dict(data["model"])}
        return cls(**(data | changed))


def beside(engine: Path) -> Path:
    """Where an engine's card is."""
    return engine.with_name(engine.name + ".json")


def write_engine(path: Path, content: bytes, card: EngineCard) -> None:
    """Write an engine and its card, which appear together."""
    with Together(path) as files:
        with whole_file(files.stage(path)) as file:
            file.write(content)
        with whole_file(files.stage(beside(path))) as file:
            file.write((json.dumps(card.to_dict(), indent=2, sort_keys=True) + "\n").encode())
        files.publish()


def read_engine(path: Path) -> tuple[bytes, EngineCard]:
    """Read an engine and its card.

    Raises:
        UserError: One is missing or damaged, or the card is another engine's.
    """
    content, where = read_bytes(path), beside(path)
    if not where.is_file():
        fix = "build the engine with `bpnet build_engine`, which writes both, and keep them together"
        raise UserError("the engine's card is missing: nothing says how to feed and read it", where=str(where), fix=fix)
    try:
        card = EngineCard.from_dict(json.loads(read_bytes(where)))
    except MALFORMED as error:
        raise UserError(
            f"cannot be read as an engine's card: {error}", where=str(where), fix="build it again"
        ) from None
    if card.sha256 != digest_bytes(content):
        raise UserError("is not the engine that its card tells of", where=str(path), fix="build it again")
    return content, card
