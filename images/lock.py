"""Lock: writes the lists of packages that the images are built from, each package with the hash of its file.

    .venv/bin/python images/lock.py

What an image needs is named by the extras of ``setup.cfg``, its versions by ``requirements.lock``. The files are those
for the Python and the platform that this runs on, which are to be the images' own: Python 3.11 on Linux, x86_64.
"""

import configparser
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent
ROOT = IMAGES.parent
LOCK = ROOT / "requirements.lock"
TOOLS = ("build", "setuptools", "wheel")  # make wheels, in a stage that is not shipped
EXTRAS = {
    "train/requirements.txt": ("container", "train", "deploy"),
    "train/requirements.gpu.txt": ("container", "train-gpu", "deploy"),
    "deploy/requirements.txt": ("container", "deploy", "trt-rtx"),
}
TOOLS_LIST = "tools.txt"
OURS = re.compile(r"bodyposenet\[([\w,-]+)\]")  # an extra that stands for other extras


def asked_for(setup: configparser.ConfigParser, extras: tuple[str, ...]) -> list[str]:
    """The lines of ``install_requires`` and of the extras, those of the extras that they name among them."""
    lines = _lines(setup["options"]["install_requires"])
    return sorted({*lines, *(line for extra in extras for line in _of_extra(setup, extra))})


def _of_extra(setup: configparser.ConfigParser, extra: str) -> Iterator[str]:
    for line in _lines(setup["options.extras_require"][extra]):
        own = OURS.fullmatch(line)
        if own is None:
            yield line
        else:
            for other in own[1].split(","):
                yield from _of_extra(setup, other)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def resolve(requirements: list[str]) -> list[dict[str, Any]]:
    """What pip would install for some requirements, at the lock's versions, as its report describes it."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as versions:  # pip takes no hashes in constraints
        versions.write("\n".join(f"{name}=={version}" for name, version in read_versions().items()))
        versions.flush()
        command = [sys.executable, "-m", "pip", "install", *options, "--constraint", versions.name, *requirements]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout)["install"])


def read_versions() -> dict[str, str]:
    """The versions of the lock, by package."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def pinned(package: dict[str, Any]) -> str:
    """A package of pip's report as a line of a list."""
    named, digest = package["metadata"], package["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{canonical(named['name'])}=={named['version']} --hash=sha256:{digest}"


def canonical(name: str) -> str:
    """A package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_list(path: Path, what: str, requirements: list[str]) -> None:
    """Resolve requirements and write the list."""
    lines = sorted(pinned(package) for package in resolve(requirements))
    path.write_text("\n".join([f"# Made by images/lock.py: {what}.", *lines, ""]), encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(lines)} packages")


def main() -> None:
    """Write all lists."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    write_list(IMAGES / TOOLS_LIST, "what makes wheels", list(TOOLS))
    for name, extras in EXTRAS.items():
        write_list(IMAGES / name, f"the extras {', '.join(extras)}", asked_for(setup, extras))


if __name__ == "__main__":
    main()
