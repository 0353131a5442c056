"""Full disks: a verb's outputs on small memory disks, with an earlier output that must not be lost."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.killed_verbs import small_disk

PAGE = 4096
ROOM = 64 << 20  # bytes, with which every verb of the cases comes to its end
EARLIER = b"an earlier output\n"


def may_mount(folder):
    """Whether this process may mount disks."""
    try:
        with small_disk(Path(folder) / "mounted", PAGE):
            return True
    except (OSError, subprocess.CalledProcessError):  # no such command, or no right
        return False


@dataclass
class DiskReport:
    """What came of a verb on full disks.

    Attributes:
        sizes: How many were tried.
        full: On how many of them the verb failed.
        wrong: What is not as it must be.
    """

    sizes: int = 0
    full: int = 0
    wrong: list[str] = field(default_factory=list)


def fill_disks(bench, count):
    """Run a verb on disks with 0 to so many bytes free, and on one that may only be read.

    Where it fails it must say so in a line with exit code 2, leave what was there before alone and nothing of its own
    behind; with room again it must end as undisturbed.
    """
    report = DiskReport()
    for free in choose_sizes(bench, count):
        _run_on(bench, free, report)
    return report


def choose_sizes(bench, count):
    """Bytes to leave free: from none to four times what all outputs take."""
    need = sum(_blocks(path) for path in bench.out_files())
    most = max(4 * need, count * PAGE)
    return sorted({int(most * place / (count - 1)) // PAGE * PAGE for place in range(count)})


def _blocks(path):
    return -(-path.stat().st_size // PAGE) * PAGE


def _run_on(bench, free, report):
    where = f"{bench.case.name}, {free} bytes free"
    with bench.on_disk(ROOM) as disk:
        earlier = {} if bench.case.refuses or bench.case.look else _write_earlier(bench)
        before = _keep(bench.out)
        used = os.statvfs(bench.out)
        taken = (used.f_blocks - used.f_bfree) * used.f_frsize
        disk(f"size={max(PAGE, taken + free)}")
        code = bench.run()
        report.sizes += 1
        if code:
            report.full += 1
            report.wrong += [f"{where}: {problem}" for problem in _judge(bench, code, before)]
            for name in earlier:
                (bench.out / name).unlink(missing_ok=True)
        disk(f"size={ROOM}")
        code = bench.run() if code else 0
        lines = bench.said.read_text().strip().splitlines()
        report.wrong += [f"{where}: with room again: exit code {code}: {' / '.join(lines[-3:])}"] if code else []
        differ, left = bench.differences(), bench.leftovers()
        report.wrong += [f"{where}: with room again: differs: {differ}"] if differ else []
        report.wrong += [f"{where}: left: {left}"] if left else []


def _write_earlier(bench):
    """Put other files under the names of the outputs."""
    names = [name for name in bench.wanted if name not in bench.original and name not in bench.case.reads]
    for name in names:
        (bench.out / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.out / name).write_bytes(EARLIER)
    return names


def _keep(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "status.json"}


def _judge(bench, code, before):
    said = [line for line in bench.said.read_text().splitlines() if line.strip()]
    printed = any("Traceback" in line for line in said) and not bench.case.look  # MLflow prints its own
    if code != 2 or printed:
        yield f"exit code {code}: {' / '.join(said[-3:])}"
    lost = [str(path.relative_to(bench.out)) for path, content in before.items()
            if not path.exists() or path.read_bytes() != content]  # fmt: skip
    if lost and not bench.case.look:
        yield f"lost: {lost}"
    if torn := [name for name in bench.torn() if bench.out / name not in before]:
        yield f"torn: {torn}"
