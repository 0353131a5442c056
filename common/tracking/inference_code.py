"""Inference code: the part of this package that finds people, copied to where the package is not installed."""

import ast
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import bodyposenet
from bodyposenet import __version__
from bodyposenet.common.machine.compiled_folder import COPY

ROOT, LIBRARY = "bodyposenet", "bodyposenet.common"
FOLDER = Path(__file__).parents[1]  # of the library
DATA = ("skeleton/priors/*.json",)  # files that are read, below that folder
LICENCE = "licenses/LICENSE"  # in the metadata of an installation
NOTICE = f"The part of bodyposenet {__version__} that finds people. Apache-2.0, see LICENSE.\n"


def copy_code(module: str, target: Path) -> Path:
    """Copy a module with all of this package that it imports, at a file's head or in a function.

    Args:
        module: Its dotted name.
        target: A folder that shall have the package.

    Returns:
        The package's folder, ``<target>/bodyposenet``, with the licence in it, and a notice that it is a copy.
    """
    package = target / ROOT
    files = list(_place(find_modules(module)))
    files += [(f"common/{path.relative_to(FOLDER).as_posix()}", path) for each in DATA for path in FOLDER.glob(each)]
    for name, path in files:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, package / name)
    (package / COPY).write_text(NOTICE, encoding="utf-8")
    texts = (installation.read_text(LICENCE) for installation in metadata.distributions(name=ROOT))
    (package / "LICENSE").write_text(next(filter(None, texts), "Apache-2.0\n"), encoding="utf-8")
    return package


def find_modules(module: str) -> dict[str, Path]:
    """Return the files of a module and of all modules of this package that it draws in, by their dotted names."""
    found: dict[str, Path] = {}
    to_do = {module}
    while to_do:
        name = to_do.pop()
        file = None if name in found else _find_file(name)
        if file is not None:
            found[name] = file
            to_do |= {name.rpartition(".")[0], *_list_imports(file)}
    return found


def _find_file(name: str) -> Path | None:
    """The file of a module of the library; None for what is another's, or no module but something in one."""
    if name == ROOT:
        return Path(bodyposenet.__file__)
    if name != LIBRARY and not name.startswith(f"{LIBRARY}."):
        return None
    place = FOLDER.joinpath(*name.split(".")[2:])
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def _list_imports(file: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _place(modules: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Where each file is below the package's folder; the packages of this tree lie elsewhere than in a wheel."""
    for name, file in sorted(modules.items()):
        inside = name.split(".")[1:]
        inside = inside if file.name == "__init__.py" else inside[:-1]
        yield "/".join([*inside, file.name]), file
