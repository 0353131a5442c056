"""Machine: processor, memory, GPUs, and the folders that every verb writes to."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.doctor.line import Line, format_bytes
from bodyposenet.common.machine.processor import read_processor
from bodyposenet.common.pages.numbers import pluralize

PATIENCE = 10.0  # seconds for the driver's answer
QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
SHARED_MEMORY = Path("/dev/shm")
LITTLE_MEMORY = 4e9  # bytes; the demo takes up to that


@dataclass(frozen=True)
class GpuFinding:
    """A GPU as NVIDIA's driver describes it."""

    name: str
    driver: str
    memory: str


@dataclass(frozen=True)
class Machine:
    """What there is to compute with.

    Attributes:
        system: Operating system, its version and the architecture.
        processor: The maker's name.
        instruction_sets: Those that matter here, the oldest first; empty where the system does not say.
        cores: Logical processors that this process may use.
        core_limit: Cores' worth of time that the container may use; None without a limit.
        memory_bytes: Of the machine; None where the system does not say.
        memory_limit_bytes: What the container may use, where that is less.
        gpus: NVIDIA's, as the driver lists them.
        gpu_note: Why there are none.
        temporary_folder: Where temporary files go; None where none can be written.
        temporary_free_bytes: Room there.
        shared_memory_bytes: Of /dev/shm; None where there is none.
    """

    system: str
    processor: str
    instruction_sets: list[str]
    cores: int
    core_limit: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    gpus: list[GpuFinding]
    gpu_note: str
    temporary_folder: str | None
    temporary_free_bytes: int | None
    shared_memory_bytes: int | None


def examine_machine() -> Machine:
    """Look at the machine, or at what a container leaves of it."""
    processor = read_processor()
    gpus, note = list_gpus()
    memory, limit = read_memory(), read_limit("memory.max", "memory/memory.limit_in_bytes")
    temporary = find_temporary()
    return Machine(
        system=f"{platform.system()} {platform.release()}, {processor.architecture}",
        processor=processor.name,
        instruction_sets=processor.instruction_sets,
        cores=processor.cores,
        core_limit=read_core_limit(),
        memory_bytes=memory,
        memory_limit_bytes=int(limit) if limit is not None and (memory is None or limit < memory) else None,
        gpus=gpus,
        gpu_note=note,
        temporary_folder=temporary,
        temporary_free_bytes=shutil.disk_usage(temporary).free if temporary else None,
        shared_memory_bytes=shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else None,
    )


def describe_machine(machine: Machine) -> Iterator[Line]:
    """Tell what there is, a line each."""
    limited = f", of which the container may use {machine.core_limit:.3g}" if machine.core_limit else ""
    yield Line("system", machine.system)
    yield Line("processor", f"{machine.processor}, {pluralize(machine.cores, 'core')}{limited}")
    yield Line("instructions", ", ".join(machine.instruction_sets) or "the system does not say")
    yield _describe_memory(machine)
    yield from (Line("GPU", f"{gpu.name}, {gpu.memory}, driver {gpu.driver}") for gpu in machine.gpus)
    if not machine.gpus:
        yield Line("GPU", machine.gpu_note)
    if machine.temporary_folder is None:
        yield Line("temporary", "no folder can be written; set TMPDIR to one that can", is_problem=True)
    else:
        free = format_bytes(machine.temporary_free_bytes or 0)
        yield Line("temporary", f"{machine.temporary_folder} can be written, {free} free")
    if machine.shared_memory_bytes is not None:
        yield Line("/dev/shm", format_bytes(machine.shared_memory_bytes))


def _describe_memory(machine: Machine) -> Line:
    if machine.memory_bytes is None:
        return Line("memory", "the system does not say")
    limit = machine.memory_limit_bytes
    least = machine.memory_bytes if limit is None else limit
    text = format_bytes(machine.memory_bytes)
    text += f", of which the container may use {format_bytes(limit)}" if limit is not None else ""
    text += "; training may need 4 GB" if least < LITTLE_MEMORY else ""
    return Line("memory", text, is_problem=least < LITTLE_MEMORY)


def read_memory() -> int | None:
    """Return the machine's memory in bytes; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def read_limit(name: str, old_name: str, root: Path = CGROUPS, own: Path = OWN_CGROUP) -> float | None:
    """Return the least limit of this process's control groups, of both versions; None where there is none.

    Args:
        name: The limit's file in version 2.
        old_name: The same in version 1, with the folder of its controller.
        root: Where control groups are mounted.
        own: Tells which one this process is in.
    """
    files = [folder / name for folder in list_cgroups(root, own)] + [root / old_name]
    found = [number for file in files if (number := _read_number(file)) is not None]
    return min(found, default=None)


def list_cgroups(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> list[Path]:
    """Return the folders of this process's control group and of those above it; in a container the root is its own."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return [root]
    path = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    folder = root / path
    return [folder, *(above for above in folder.parents if above.is_relative_to(root))]


def read_core_limit(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> float | None:
    """Return how many cores' worth of time the control groups allow; None without a limit."""
    shares = []
    for folder in list_cgroups(root, own):
        words = _read_words(folder / "cpu.max")
        shares += [int(words[0]) / int(words[1])] if len(words) == 2 and words[0] != "max" else []
    quota, period = (_read_number(root / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    shares += [quota / period] if quota and period and quota > 0 else []
    return min(shares, default=None)


def _read_words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []


def _read_number(file: Path) -> float | None:
    words = _read_words(file)
    return float(words[0]) if words and words[0].lstrip("-").isdigit() else None


def list_gpus() -> tuple[list[GpuFinding], str]:
    """Return NVIDIA's GPUs, and why there are none where that is so."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [], "none: NVIDIA's driver is not here"
    try:
        told = subprocess.run([tool, *QUERY], capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"unknown: {type(error).__name__} of nvidia-smi"
    rows = [[part.strip() for part in line.split(",")] for line in told.stdout.splitlines()]
    gpus = [GpuFinding(name=row[0], driver=row[1], memory=row[2]) for row in rows if len(row) == 3]
    said = (told.stdout + told.stderr).strip().splitlines()
    return gpus, "" if gpus else f"none: nvidia-smi says {said[0] if said else 'nothing'}"


def find_temporary() -> str | None:
    """Return the folder of temporary files, if one can be written."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return None
