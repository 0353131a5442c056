"""Killed verbs: verbs that are killed before file operations or at random, run again, and compared.

Everything runs in processes forked from one that has imported the libraries and has computed nothing.
"""

import contextlib
import fnmatch
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from support.killing import Killer
from support.verb_cases import digest


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a memory disk of so many bytes on a folder; yields a function that mounts it anew with other options."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "bodyposenet-test", folder], check=True,
                   capture_output=True)  # fmt: skip
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


AT_EXIT = "__autograph_generated_file"  # TensorFlow removes these at the exit that a forked process does not have
OPERATIONS = "operations"  # file in which a verb that came to its end notes how many it did on files
JOURNALS = (".*.journal", ".*/ready")  # those of most verbs, and that of conversions
STORE = "store"  # a folder that is MLflow's, which removes no half of an upload
PATIENCE = 5  # seconds in which what a killed verb started must end


def in_child(function, *arguments):
    """What a function returns in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = True, function(*arguments)
        except BaseException:
            answer = False, traceback.format_exc()
        with os.fdopen(write, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        content = file.read()
    os.waitpid(child, 0)
    well, answer = pickle.loads(content) if content else (False, "it was killed")
    assert well, answer
    return answer


@dataclass
class Report:
    """What came of a verb's kills.

    Attributes:
        kills: How many there were.
        wrong: What is not as it must be.
        left: What a kill left behind, by how often.
    """

    kills: int = 0
    wrong: list[str] = field(default_factory=list)
    left: Counter = field(default_factory=Counter)


class VerbBench:
    """A case, where it runs, and what comes of it if nobody disturbs it.

    Args:
        case: The verb.
        given: The inputs.
        root: An empty folder of its own.

    Attributes:
        seconds: That an undisturbed run takes.
        operations: On files, that it does.
        wanted: What its outputs are then.
        survivors: Processes that outlived the last run.
    """

    def __init__(self, case, given, root):
        self.case, self.given, self.root = case, given, root
        self.out, self.before, self.tmp = root / "out", root / "before", root / "tmp"
        self.said = root / "said"
        self.before.mkdir(parents=True)
        if case.prepare:
            in_child(case.prepare, given, self.before)
        self.original = self.look(self.before)
        self.restore()
        begun = time.monotonic()
        code = self.run()
        self.seconds = time.monotonic() - begun
        assert code == 0, self.said.read_text()
        self.operations = int((root / OPERATIONS).read_text())
        self.wanted = self.look()
        assert not self.leftovers(), self.leftovers()

    def out_files(self):
        """What an undisturbed verb has written."""
        self.restore()
        assert self.run() == 0
        return [path for path in self.out.rglob("*") if path.is_file()]

    @contextlib.contextmanager
    def on_disk(self, size):
        """Let the outputs lie on a small disk of their own; yields what makes it larger or smaller."""
        self.restore()
        shutil.rmtree(self.out)
        with small_disk(self.out, size) as resize:
            shutil.copytree(self.before, self.out, dirs_exist_ok=True)
            yield resize
        self.out.rmdir()

    def restore(self):
        """The state before the verb."""
        for folder in (self.out, self.tmp):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.before, self.out)
        self.tmp.mkdir()

    def run(self, kill_after=None, kill_at=None):
        """Run the verb; returns its exit code, -9 if it was killed.

        ``kill_after`` is in seconds; ``kill_at`` is a number of operations on files, before the next of which it dies.
        """
        sys.stdout.flush()
        child = os.fork()
        if not child:
            self._become(kill_at)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.survivors = wait_for_session(child)
        return code

    def _become(self, kill_at):
        code = 70
        try:
            os.setsid()
            said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1), os.dup2(said, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            tempfile.tempdir = str(self.tmp)
            os.environ["TMPDIR"] = str(self.tmp)
            for name, value in self.case.variables.items():
                os.environ[name] = value.format(given=self.given, out=self.out)
            code = _run_verb(self.case.command(self.given, self.out), kill_at, str(self.root))
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def look(self, folder=None):
        """What the outputs are."""
        folder = folder or self.out
        if self.case.look:
            return in_child(self.case.look, folder)
        names = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): digest(path) for path in names if not self._is_ignored(path)}

    def _is_ignored(self, path):
        return any(fnmatch.fnmatch(path.name, pattern) for pattern in self.case.ignored)

    def leftovers(self):
        """Hidden files and folders, and what lies among temporary files."""
        hidden = [path for path in self.out.rglob("*") if path.name.startswith(".") and STORE not in path.parts]
        aside = [path for path in self.tmp.iterdir() if not path.name.startswith(AT_EXIT)]
        return sorted(str(path.relative_to(self.root)) for path in [*hidden, *aside])

    def torn(self):
        """Files under final names that are neither whole nor what was there before."""
        if self.case.look:
            return []
        found = [(str(path.relative_to(self.out)), path) for path in self.out.rglob("*") if path.is_file()]
        judged = [(name, path) for name, path in found if not self._is_ignored(path) and not self._grows(name)]
        whole = [(self.wanted.get(name), self.original.get(name)) for name, _ in judged]
        return sorted(name for (name, path), may in zip(judged, whole, strict=True) if digest_safely(path) not in may)

    def parted(self):
        """Final names of which some are there and some are not, though no journal says that the rest will come."""
        if self.case.look or self.case.grows == ("*",) or any(map(list, map(self.out.rglob, JOURNALS))):
            return []
        new = sorted(name for name in self.wanted.keys() - self.original.keys() if not self._grows(name))
        missing = [name for name in new if not (self.out / name).exists()]
        return missing if len(missing) < len(new) else []

    def _grows(self, name):
        parts = Path(name).parts
        return any(part.startswith(".") for part in parts) or any(
            fnmatch.fnmatch(part, pattern) for part in parts for pattern in self.case.grows
        )

    def differences(self):
        """What is not as an undisturbed verb leaves it."""
        found = self.look()
        wrong = [name for name in found.keys() | self.wanted.keys() if found.get(name) != self.wanted.get(name)]
        return sorted(wrong)

    def kill(self, report, **moment):
        """Kill the verb once and run it again; False if it came to its end before."""
        self.restore()
        if self.run(**moment) != -signal.SIGKILL:
            return False
        report.kills += 1
        where = f"{self.case.name}, {moment}"
        left = [f"{name.rpartition('/')[2]}" for name in self.leftovers()]
        report.left[" ".join(left)] += 1
        report.wrong += [f"{where}: torn: {name}" for name in self.torn()]
        report.wrong += [f"{where}: missing: {name}" for name in self.parted()]
        report.wrong += [f"{where}: still alive: {self.survivors}"] if self.survivors else []
        if self.case.refuses and not self.differences() and not self.leftovers():
            return True  # it had ended but for its last words, and refuses to do it again
        code = self.run()
        if code:
            lines = self.said.read_text().strip().splitlines()
            report.wrong.append(f"{where}: again: exit code {code}: {' / '.join(lines[-3:])}")
            return True
        differ, left = self.differences(), self.leftovers()
        report.wrong += [f"{where}: differs: {differ}"] if differ else []
        report.wrong += [f"{where}: left: {left}"] if left else []
        return True


def _run_verb(words, kill_at, root):
    from bodyposenet.common.cli.main import main

    killer = Killer(root, kill_at)
    sys.addaudithook(killer)
    try:
        main(words, prog_name="bpnet")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        Path(root, OPERATIONS).write_text(str(killer.done))
    return 0


def digest_safely(path):
    """A file's digest, or why there is none."""
    try:
        return digest(path)
    except Exception as error:
        return repr(error)


def kill_before_operations(bench, most):
    """Kill a verb before its file operations, spread over all of them, at most so many times."""
    report = Report()
    for count in range(0, bench.operations, max(1, -(-bench.operations // most))):
        bench.kill(report, kill_at=count)
    return report


def kill_at_random(bench, kills, seed):
    """Kill a verb at random moments."""
    report, generator = Report(), random.Random(f"{seed} {bench.case.name}")
    for _ in range(4 * kills):
        if report.kills >= kills:
            break
        bench.kill(report, kill_after=round(generator.uniform(0, bench.seconds), 4))
    return report


def wait_for_session(leader):
    """The processes of a session that are alive some seconds after its leader's end; they are ended then."""
    end = time.monotonic() + PATIENCE
    while (found := _in_session(leader)) and time.monotonic() < end:
        time.sleep(0.02)
    for number in found:
        os.kill(number, signal.SIGKILL)
    return found


def _in_session(leader):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            found.append(int(stat.parent.name))
    return found
