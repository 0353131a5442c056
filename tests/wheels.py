"""Wheels: what a release consists of, built, looked at, and tried in clean environments, one for each extra.

    python tests/wheels.py FOLDER [EXTRA ...]

FOLDER gets ``dist/`` with the source archive and the wheel, and for each extra the environment, what was run there, and
a record. An extra whose record tells of the same wheel is not tried again, unless it is named. The extra ``base`` is
the package alone. uv, on the PATH, makes the environments. The last lines are a table; the exit code is 1 if anything
did not work, and the last line names it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.documents import ROOT
from support.extra_trials import BASE, LEFT_OUT, PRELUDE, TRIALS, Trial, environment_of

FACES = ("bodyposenet", "common", "components", "pipelines")
BESIDE = ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE")
MOST_WHEEL = 16e6  # bytes; the networks that ship are most of it
INSTALLING, RUNNING = 1800, 1200  # seconds at most
NAMES = "import importlib.metadata as m; print(*(d.name.lower().replace('_', '-') for d in m.distributions()))"


class DoesNotWorkError(Exception):
    """An extra that does not do what its trial asks for."""


@dataclass(frozen=True)
class Result:
    """How a trial went: megabytes on the disk, seconds, and what is wrong, empty if nothing is."""

    extra: str
    wheel: str
    megabytes: float = 0
    seconds: float = 0
    problem: str = ""


def copy_source(folder: Path) -> None:
    """Copy what is built: building in the tree itself would leave things there, or find some."""
    for name in FACES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy2(ROOT / name, folder)


def build(source: Path, output: Path) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from that; the same files give the same wheel.

    Raises:
        subprocess.CalledProcessError: Its output says why.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | _moment())
    (archive,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return archive, wheel


def _moment() -> dict[str, str]:
    """The time that files of a wheel have: that of the commit, where there is one."""
    told = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return {"SOURCE_DATE_EPOCH": told.stdout.strip()} if told.returncode == 0 and told.stdout.strip() else {}


def digest_contents(wheel: Path) -> str:
    """Digest the names and contents of a wheel's files."""
    found = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            found.update(name.encode() + b"\0" + hashlib.sha256(archive.read(name)).digest())
    return found.hexdigest()


def make_environment(folder: Path, wheel: Path, extras: Iterable[str]) -> Path:
    """Make an environment with the wheel and what its extras ask for; gives the folder of its programs."""
    asked = ",".join(extra for extra in extras if extra != BASE)
    subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    command = ["uv", "pip", "install", "--quiet", "--python", str(folder), f"{wheel}[{asked}]" if asked else str(wheel)]
    subprocess.run(command, check=True, timeout=INSTALLING)
    return folder / "bin"


def run(trial: Trial, programs: Path, folder: Path, photo: Path) -> None:
    """Run a trial's script in a new folder; its output goes to ``output.txt`` there.

    Raises:
        DoesNotWorkError: It ended otherwise than well, or took too long.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    shutil.copy(photo, folder / "photo.jpg")
    environment = environment_of(trial, programs, folder) | {"EXAMPLE": str(ROOT / "docs" / "example")}
    if trial.server is None:
        return _run_script(trial.script, folder, environment)
    with trial.server(folder) as variables:
        return _run_script(trial.script, folder, environment | dict(variables))


def _run_script(script: str, folder: Path, environment: dict[str, str]) -> None:
    command = ["bash", "-xc", PRELUDE + script]
    with (folder / "output.txt").open("w", encoding="utf-8") as output:
        try:
            subprocess.run(
                command, check=True, timeout=RUNNING, cwd=folder, env=environment, stdout=output, stderr=output
            )
        except subprocess.CalledProcessError as error:
            raise DoesNotWorkError(f"exit code {error.returncode}: {folder / 'output.txt'}") from error
        except subprocess.TimeoutExpired as error:
            raise DoesNotWorkError(f"not done after {RUNNING} s: {folder / 'output.txt'}") from error


def check_environment(trial: Trial, programs: Path) -> float:
    """Measure an environment, in megabytes.

    Raises:
        DoesNotWorkError: It is larger than it may be, or holds what it is to do without.
    """
    told = subprocess.run([programs / "python", "-I", "-c", NAMES], capture_output=True, text=True, check=True)
    if too_much := set(told.stdout.split()) & set(trial.absent):
        raise DoesNotWorkError(f"brings {', '.join(sorted(too_much))}")
    megabytes = sum(path.lstat().st_size for path in programs.parent.rglob("*") if not path.is_dir()) / 1e6
    if megabytes > trial.most:
        raise DoesNotWorkError(f"takes {megabytes:.0f} MB on the disk; {trial.most:.0f} are allowed")
    return megabytes


def try_extra(extra: str, wheel: Path, folder: Path, photo: Path, trials: dict[str, Trial] = TRIALS) -> Result:
    """Install an extra in an environment of its own, run its trial there, and tell how that went."""
    trial, begun, digest = trials[extra], time.monotonic(), digest_contents(wheel)
    try:
        programs = make_environment(folder / "environment", wheel, (extra, *trial.beside))
        run(trial, programs, folder / "run", photo)
        result = Result(extra, digest, check_environment(trial, programs), time.monotonic() - begun)
    except DoesNotWorkError as error:
        result = Result(extra, digest, problem=str(error))
    except Exception as error:  # whatever an index, a server or a disk does: the table names the extra all the same
        result = Result(extra, digest, problem=f"{type(error).__name__}: {error}")
    (folder / "result.json").write_text(json.dumps(vars(result), indent=1) + "\n", encoding="utf-8")
    return result


def read_result(folder: Path, digest: str) -> Result | None:
    """How the trial of the same wheel went earlier; None if there was none, or it did not go well."""
    file = folder / "result.json"
    if not file.is_file():
        return None
    known = Result(**json.loads(file.read_text(encoding="utf-8")))
    return known if known.wheel == digest and not known.problem else None


def tabulate(results: Iterable[Result]) -> str:
    """The table of what was tried, and of what was not."""
    lines = [f"{'extra':<12}{'on disk':>10}{'took':>8}  what was seen"]
    lines += [_row(each) for each in results]
    lines += [f"{extra:<12}{'-':>10}{'-':>8}  not tried: {reason}" for extra, reason in LEFT_OUT.items()]
    return "\n".join(lines)


def _row(result: Result) -> str:
    if result.problem:
        return f"{result.extra:<12}{'-':>10}{'-':>8}  DOES NOT WORK: {result.problem}"
    size, took = f"{result.megabytes:.0f} MB", f"{result.seconds:.0f} s"
    return f"{result.extra:<12}{size:>10}{took:>8}  {TRIALS[result.extra].shows}"


def conclude(results: Iterable[Result]) -> None:
    """Print the table.

    Raises:
        SystemExit: Something does not work; it names the extras.
    """
    results = list(results)
    print(tabulate(results))
    if broken := [each.extra for each in results if each.problem]:
        sys.exit(f"error: does not work in an environment of its own: {', '.join(broken)}")


def find_photo() -> Path:
    """A photo of a person that some library of the development environment has."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def main(folder: Path, named: list[str]) -> None:
    """Build, look, try, and tell."""
    if unknown := set(named) - TRIALS.keys():
        sys.exit(f"error: no trial of {', '.join(sorted(unknown))}; there are {', '.join(TRIALS)}")
    for name in ("source", "dist"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "source").mkdir(parents=True)
    copy_source(folder / "source")
    _, wheel = build(folder / "source", folder / "dist")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
    if wheel.stat().st_size > MOST_WHEEL:
        sys.exit(f"error: the wheel is larger than {MOST_WHEEL / 1e6:.0f} MB")
    results = []
    for extra in named or TRIALS:
        known = None if named else read_result(folder / extra, digest_contents(wheel))
        results.append(known or try_extra(extra, wheel, folder / extra, find_photo()))
        print(f"{extra}: {results[-1].problem or 'works'}{' (known)' if known else ''}", flush=True)
    conclude(results)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
