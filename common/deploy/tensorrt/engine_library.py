"""Engine library: TensorRT 10 and 11, and TensorRT-RTX, behind one small builder.

All three read ONNX, know profiles of shapes and build strongly typed networks: an engine computes in the types that its
model is written in. So one piece of code serves them, and none of it is imported before an engine is wanted.
"""

import importlib
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bodyposenet.common.deploy.tensorrt.cuda import find_gpu
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.spec.words import EngineLibrary
from bodyposenet.common.storage.files import find_bytes, whole_file

log = logging.getLogger(__name__)

MODULES: dict[EngineLibrary, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
EXTRAS: dict[EngineLibrary, str] = {"tensorrt": "trt", "tensorrt-rtx": "trt-rtx"}
ANY_RTX = "ampere+"  # what TensorRT-RTX builds for when no GPU is named

Shape = tuple[int, int, int, int]  # batch, height, width, channels
Shapes = tuple[Shape, Shape, Shape]  # the smallest, the one to be fast at, the largest


def choose_library(name: EngineLibrary | None, gpus: Sequence[str]) -> "Library":
    """Open the library that is to build.

    Args:
        name: Which; if None, TensorRT-RTX where GPUs are named, else TensorRT, or TensorRT-RTX where only that is here.
        gpus: Names of the GPUs' kinds, such as ``sm86``; TensorRT builds for the GPU at hand only.

    Raises:
        UserError: It is not installed, its libraries are missing, or it cannot build for other machines' GPUs.
    """
    if name is None:
        name = "tensorrt-rtx" if gpus else _find_installed()
    if gpus and name == "tensorrt":
        problem = "TensorRT builds for the GPU at hand only"
        raise UserError(problem, where="--engine_for", fix="leave it out, or take --library tensorrt-rtx")
    return Library(name)


def _find_installed() -> EngineLibrary:
    for name, module in MODULES.items():
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return name
    fix = "pip install 'bodyposenet[trt]' for the GPU of this machine, 'bodyposenet[trt-rtx]' to build without one"
    raise UserError("neither TensorRT nor TensorRT-RTX is installed", fix=fix)


class Library:
    """A TensorRT.

    Args:
        name: Which.

    Raises:
        UserError: It is not installed, or its libraries are missing.
    """

    def __init__(self, name: EngineLibrary) -> None:
        self.name = name
        try:
            self.trt: Any = importlib.import_module(MODULES[name])
        except ModuleNotFoundError as error:
            fix = f"pip install 'bodyposenet[{EXTRAS[name]}]'"
            raise UserError(f"{error.name} is not installed", fix=fix) from error
        except (ImportError, OSError) as error:  # only the bindings are there, or another CUDA
            fix = f"install it whole: pip install 'bodyposenet[{EXTRAS[name]}]'"
            raise UserError(f"its libraries cannot be loaded: {error}", where=name, fix=fix) from error

    @property
    def version(self) -> str:
        """The library's version, such as ``1.7.1.116``."""
        return str(self.trt.__version__)

    def gpus(self, named: Sequence[str]) -> tuple[str, ...]:
        """The kinds of GPU to build for, as sidecars name them.

        Raises:
            UserError: There is no GPU and TensorRT needs one, or TensorRT-RTX knows no such kind.
        """
        if self.name == "tensorrt":
            return (find_gpu("build on the machine that will run the engine, or name its GPU: --engine_for sm86").kind,)
        known = self.list_gpus()
        for name in named:
            if name not in known:
                fix = f"TensorRT-RTX {self.version} builds for {', '.join(known)}"
                raise UserError(f"unknown kind of GPU: {name}", where="--engine_for", fix=fix)
        return tuple(dict.fromkeys(named)) or (ANY_RTX,)

    def list_gpus(self) -> list[str]:
        """The kinds of GPU that TensorRT-RTX builds for ahead of time."""
        return [name.lower() for name in self.trt.ComputeCapability.__members__ if name.startswith("SM")]

    def build(
        self, model: bytes, inputs: dict[str, Shapes], *, gpus: Sequence[str], workspace: int, timing_cache: Path | None
    ) -> bytes:
        """Build an engine.

        Args:
            model: An ONNX model.
            inputs: By input name: the smallest shape, the one to be fast at, and the largest.
            gpus: What :meth:`gpus` returned.
            workspace: Bytes that layers may use at once.
            timing_cache: File of measured times, read and written; TensorRT-RTX measures nothing.

        Raises:
            UserError: The library refuses the model or cannot build it.
        """
        trt, said = self.trt, logger(self.name)
        said.problems.clear()
        builder = trt.Builder(said)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, said)
        if not parser.parse(model):
            reasons = [_describe_error(parser.get_error(index)) for index in range(parser.num_errors)]
            raise UserError(f"{self.name} cannot read the model: {'; '.join(reasons)}")
        config = self._config(builder, inputs, workspace)
        self._name_gpus(config, gpus)
        cached = self._take_cache(config, timing_cache)
        config.progress_monitor = monitor = _monitor(trt)
        engine = builder.build_serialized_network(network, config)
        monitor.close()
        if monitor.interrupted:
            raise KeyboardInterrupt
        if engine is None:
            raise UserError(f"{self.name} cannot build the engine: {'; '.join(said.problems) or 'it does not say why'}")
        if cached is not None:
            _write(cached, config.get_timing_cache().serialize())
        return bytes(memoryview(engine))

    def _config(self, builder: Any, inputs: dict[str, Shapes], workspace: int) -> Any:
        config = builder.create_builder_config()
        config.set_memory_pool_limit(self.trt.MemoryPoolType.WORKSPACE, workspace)
        profile = builder.create_optimization_profile()
        for name, shapes in inputs.items():
            profile.set_shape(name, *shapes)
        config.add_optimization_profile(profile)
        return config

    def _name_gpus(self, config: Any, gpus: Sequence[str]) -> None:
        if self.name == "tensorrt" or tuple(gpus) == (ANY_RTX,):
            return
        config.num_compute_capabilities = len(gpus)
        for index, name in enumerate(gpus):
            config.set_compute_capability(self.trt.ComputeCapability.__members__[name.upper()], index)

    def _take_cache(self, config: Any, path: Path | None) -> Path | None:
        """Let the builder use a timing cache; its file, where there is one to be written."""
        if path is None:
            return None
        if self.name == "tensorrt-rtx":
            log.warning("TensorRT-RTX measures nothing while it builds: the timing cache %s is not used", path)
            return None
        cache = config.create_timing_cache(find_bytes(path) or b"")
        if not config.set_timing_cache(cache, False):
            raise UserError(
                "no timing cache of this library and GPU", where=str(path), fix="name another, or remove it"
            )
        return path


def _describe_error(error: Any) -> str:
    """What an ONNX parser found wrong."""
    return f"{error.node_operator()} {error.node_name()}: {error.code().name}, {error.desc()}"


def _write(path: Path, memory: Any) -> None:
    with whole_file(path) as file:
        file.write(memoryview(memory))


class Complaints:
    """What a library says: its complaints are kept, everything goes to our log. To be mixed with its ``ILogger``."""

    def __init__(self, name: str, severity: Any) -> None:
        self.name, self.problems = name, list[str]()
        self._bad = (severity.ERROR, severity.INTERNAL_ERROR)
        self._levels = {severity.WARNING: logging.WARNING}

    def log(self, level: Any, text: str) -> None:
        """Take a line; the library calls this."""
        if level in self._bad:
            self.problems.append(text)
        log.log(self._levels.get(level, logging.DEBUG), "%s: %s", self.name, text)


class BuildProgress:
    """How far a build is. Ctrl-C ends it at its next step. To be mixed with a library's ``IProgressMonitor``."""

    def __init__(self) -> None:
        self.progress: Bar | None = None
        self.outermost, self.interrupted = "", False

    def phase_start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins; the library calls this."""
        log.debug("building: %s", name)
        if not parent:
            self.outermost, self.progress = name, Bar(total=steps, desc="build_engine", unit="step")

    def phase_finish(self, name: str) -> None:
        """A phase is done; the library calls this."""
        if name == self.outermost:
            self.close()

    def step_complete(self, name: str, step: int) -> bool:
        """A step is done; the library calls this, and goes on if it returns True."""
        try:
            if self.progress is not None and name == self.outermost:
                self.progress.update()
        except KeyboardInterrupt:
            self.interrupted = True
        return not self.interrupted

    def close(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.close()


@cache
def logger(name: EngineLibrary) -> Any:
    """The library's logger: it takes one for the whole process."""
    trt = importlib.import_module(MODULES[name])

    def start(self: Any) -> None:
        trt.ILogger.__init__(self)
        Complaints.__init__(self, name, trt.ILogger.Severity)

    return type("Log", (Complaints, trt.ILogger), {"__init__": start})()


def _monitor(trt: Any) -> Any:
    def start(self: Any) -> None:
        trt.IProgressMonitor.__init__(self)
        BuildProgress.__init__(self)

    return type("Monitor", (BuildProgress, trt.IProgressMonitor), {"__init__": start})()
