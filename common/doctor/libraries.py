"""Libraries: versions, extras that are not installed, and versions that were never meant."""

import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from importlib.util import find_spec

from bodyposenet import __version__
from bodyposenet.common.doctor.line import Line
from bodyposenet.common.exits import EXTRAS

PACKAGE = "bodyposenet"
BASE = (
    "click", "cv2", "google_crc32c", "jinja2", "msgspec", "numba", "numpy", "pycocotools", "pydantic", "tqdm", "yaml",
)  # fmt: skip
FOR_GPUS = (
    "TensorFlow here is the one for processors; for the GPU: pip uninstall tensorflow-cpu; "
    f"pip install '{PACKAGE}[train-gpu]'"
)


@dataclass(frozen=True)
class Extra:
    """A part of the installation that may be left out.

    Attributes:
        name: As pip knows it.
        missing: Modules that are not there.
        command: What installs them; empty where nothing is missing.
    """

    name: str
    missing: list[str]
    command: str


@dataclass(frozen=True)
class Libraries:
    """What is installed.

    Attributes:
        python: Its version.
        bodyposenet: This package's version.
        versions: Of the modules of every verb and every extra; None for those that are not there.
        missing: Modules of every verb that are not there.
        extras: Those that ``pip install 'bodyposenet[NAME]'`` knows.
        unmeant: Packages of a version that ``setup.cfg`` does not allow, with the range that it does.
        note: What else is wrong; empty if nothing.
    """

    python: str
    bodyposenet: str
    versions: dict[str, str | None]
    missing: list[str]
    extras: list[Extra]
    unmeant: dict[str, str]
    note: str


def examine_libraries() -> Libraries:
    """Look at what is installed, importing nothing of it."""
    versions = read_versions([*BASE, *sorted({module for modules in EXTRAS.values() for module in modules})])
    wrong_kind = shutil.which("nvidia-smi") is not None and _read_version("tensorflow-cpu") is not None
    return Libraries(
        python=platform.python_version(),
        bodyposenet=__version__,
        versions=versions,
        missing=[module for module in BASE if versions[module] is None],
        extras=[examine_extra(name, versions) for name in EXTRAS],
        unmeant=find_unmeant(),
        note=FOR_GPUS if wrong_kind else "",
    )


def describe_libraries(libraries: Libraries) -> Iterator[Line]:
    """Tell what is installed, a line for every verb's modules and one for each extra."""
    yield Line("python", libraries.python)
    yield Line(PACKAGE, libraries.bodyposenet)
    there = _join_versions(libraries.versions, BASE)
    yield Line("every verb", there)
    if libraries.missing:
        names = ", ".join(libraries.missing)
        yield Line("every verb", f"without {names}: pip install {PACKAGE}", is_problem=True)
    for extra in libraries.extras:
        there = _join_versions(libraries.versions, sorted(EXTRAS[extra.name]))
        missing = f"without {', '.join(extra.missing)}: {extra.command}" if extra.missing else ""
        yield Line(f"[{extra.name}]", "; ".join(filter(None, [there, missing])), is_problem=bool(extra.missing))
    for name, why in libraries.unmeant.items():
        yield Line(name, why, is_problem=True)
    if libraries.note:
        yield Line("GPU", libraries.note, is_problem=True)


def read_versions(modules: list[str]) -> dict[str, str | None]:
    """Return the versions of modules, by the packages that brought them; ``unknown`` where that cannot be told."""
    packages = packages_distributions()
    found: dict[str, str | None] = {}
    for module in modules:
        names = packages.get(module, [])
        found[module] = ((_read_version(names[0]) if names else None) or "unknown") if is_there(module) else None
    return found


def is_there(module: str) -> bool:
    """Tell whether a module could be imported; nothing is."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def examine_extra(name: str, versions: Mapping[str, str | None]) -> Extra:
    """Tell what an extra lacks, by the versions of its modules."""
    missing = sorted(module for module in EXTRAS[name] if versions[module] is None)
    return Extra(name, missing, f"pip install '{PACKAGE}[{name}]'" if missing else "")


def find_unmeant(needs: list[str] | None = None) -> dict[str, str]:
    """Return the packages whose version the requirements do not allow, and why; nothing without ``packaging``.

    Args:
        needs: Requirements as in a package's metadata; this package's if None.
    """
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return {}
    found = {}
    for need in map(Requirement, needs if needs is not None else _read_needs()):
        installed = _read_version(need.name)
        if installed and not need.specifier.contains(installed, prereleases=True):
            found[need.name] = f"{installed} is not allowed: pip install '{need.name}{need.specifier}'"
    return found


def _read_needs() -> list[str]:
    try:
        return requires(PACKAGE) or []
    except PackageNotFoundError:
        return []


def _read_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _join_versions(versions: Mapping[str, str | None], modules: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{module} {versions[module]}" for module in modules if versions.get(module))
