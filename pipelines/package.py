"""Package: a compiled pipeline: its two documents, its inputs, and the name of its version."""

import copy
import errno
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bodyposenet import __version__
from bodyposenet.common.bounds import PACKAGE_BYTES
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.kubeflow.yaml_text import dump_documents, load_documents
from bodyposenet.common.spec.problems import did_you_mean
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.location import locate

DIGITS = 12  # of the digest in a version's name
ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Input:
    """A parameter of a pipeline.

    Attributes:
        kind: Kubeflow's word for its type, such as NUMBER_INTEGER.
        optional: It may be left out.
    """

    kind: str
    optional: bool


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        spec: The pipeline.
        platform: What Kubernetes is to know beside it; may be empty.
    """

    spec: dict[str, Any]
    platform: dict[str, Any]

    @property
    def name(self) -> str:
        """Under which Kubeflow shows it."""
        return str(self.spec["pipelineInfo"]["name"]).strip()

    @cached_property
    def version(self) -> str:
        """This package's version and a digest of both documents: the same documents always have the same."""
        return f"{__version__.replace('+', '-')}-{digest_settings([self.spec, self.platform])[:DIGITS]}"

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Its parameters by name."""
        written = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {
            name: Input(each["parameterType"], bool(each.get("isOptional")) or "defaultValue" in each)
            for name, each in written.items()
        }

    def without_cache(self) -> "Package":
        """The same pipeline, of which no task is taken from the cache."""
        spec = copy.deepcopy(self.spec)
        for task in _tasks(spec):
            task["cachingOptions"] = {}
        return replace(self, spec=spec)

    def documents(self) -> dict[str, Any]:
        """Both documents, as a run carries them."""
        return {"pipeline_spec": self.spec, **({"platform_spec": self.platform} if self.platform else {})}

    def text(self) -> str:
        """Both documents as YAML, as an upload carries them."""
        return dump_documents([self.spec, *([self.platform] if self.platform else [])])


def find_package(named: str) -> Package:
    """Compile the pipeline of this name, or read the compiled one in a file.

    Args:
        named: ``prune_retrain`` or ``prune-retrain``, or a path that ends in ``.yaml``.

    Raises:
        UserError: There is neither, or the file is no compiled pipeline.
    """
    from bodyposenet.pipelines.compile import PIPELINES, compile_one

    if named.endswith(ENDINGS):
        return read_package(Path(named))
    name = named.replace("-", "_")
    if name not in PIPELINES:
        raise UserError(
            f"no such pipeline{did_you_mean(name, PIPELINES)}",
            where=named,
            fix=f"one of {', '.join(PIPELINES)}, or a compiled .yaml file",
        )
    with tempfile.TemporaryDirectory() as folder:
        return read_package(compile_one(name, Path(folder) / f"{name}.yaml"))


def read_package(path: Path) -> Package:
    """Read a compiled pipeline.

    Raises:
        UserError: The file holds none.
    """
    from google.protobuf import json_format

    try:
        return _parse(read_text(path))
    except (OSError, *MALFORMED, yaml.YAMLError, json_format.ParseError) as error:
        told = str(error).splitlines() or [type(error).__name__]
        reason = error.strerror if isinstance(error, OSError) else told[0]
        raise UserError(
            f"no compiled pipeline ({reason})", where=str(path), fix="write one with bpnet pipeline compile"
        ) from None


def read_text(path: Path) -> str:
    """Read a text of this machine.

    Raises:
        OSError: It cannot be read, is too large, or is a pipe or a device, which may never begin or end.
        UnicodeDecodeError: It is no UTF-8.
    """
    place = locate(path)
    if place.count_bytes() > PACKAGE_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {PACKAGE_BYTES:,} bytes", str(path))
    return io.TextIOWrapper(io.BytesIO(place.fetch(0, PACKAGE_BYTES)), encoding="utf-8").read()


def _parse(text: str) -> Package:
    """The package that a text holds; anything that Kubeflow would not know is an error."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    documents = [each for each in load_documents(text) if each is not None]
    if not 1 <= len(documents) <= 2 or not all(isinstance(each, dict) for each in documents):
        raise ValueError("it holds neither one document nor two")
    spec, platform = (*documents, {})[:2]
    if not json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()).pipeline_info.name or "root" not in spec:
        raise ValueError("it names no pipeline")
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    return Package(spec, platform)


def _tasks(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every task of every graph; the SDK's own override forgets those inside loops and conditions."""
    for component in (spec["root"], *spec.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {}).values()
