"""``python -m fuzzing [MINUTES] [NAME...]``: give all parsers, or those of these names, hostile files for so long.

Each runs in a process of its own, as many at once as there are cores, or ``FUZZ_WORKERS``. A process that dies, stands
still in a library or takes all memory is a find, too, and another goes on. Finds are kept in the corpus.
"""

import collections
import contextlib
import json
import logging
import os
import resource
import secrets
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzzing.bench import CORPUS, Bench, Find
from fuzzing.parsers import PARSERS

MINUTES = 60
STILL = 40.0  # seconds of processor time in one case until a process counts as standing still
MORE_BYTES = 3 << 30  # of address space, above what sound files need
REPORT = "report.json"
UNFIT, BROKEN = 70, "the suite itself failed"


def main(words):
    minutes = float(words[0]) if words else MINUTES
    named = words[1:] or list(PARSERS)
    if unknown := sorted({*named} - PARSERS.keys()):
        print(f"no parser {unknown[0]}; there are {', '.join(PARSERS)}", file=sys.stderr)
        return 2
    workers = int(os.environ.get("FUZZ_WORKERS", "0")) or len(os.sched_getaffinity(0))
    share = minutes * 60 * workers / len(named)
    first = secrets.randbelow(1 << 32)
    total, lock = collections.Counter(), threading.Lock()

    def work(name):
        done = _fuzz(name, share, first)
        with lock:
            total.update(cases=done["cases"], seconds=done["seconds"], finds=len(done["finds"]))
            print(f"{name}: {done['cases']} cases, {done['seconds']:.0f} s, {len(done['finds'])} finds", flush=True)
            for find in done["finds"]:
                print(f"  {find}", flush=True)

    print(f"{len(named)} parsers, {share:.0f} s each, from seed {first}", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, named))
    told = f"{total['cases']} cases, {total['seconds']:.0f} s of processor time, {total['finds']} finds"
    print(f"{len(named)} parsers: {told}")
    return 1 if total["finds"] else 0


def _fuzz(name, share, first):
    """Fuzz a parser in processes, until the time is over."""
    done = {"cases": 0, "seconds": 0.0, "finds": []}
    end = time.monotonic() + 3 * share + 60  # others may have the cores
    while done["seconds"] < share and time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            lost = _run_process(name, Path(folder), share - done["seconds"], first)
            report = Path(folder) / REPORT
            told = json.loads(report.read_text()) if report.exists() else {"cases": 0, "seconds": 0.0, "finds": []}
            for key in done:
                done[key] += told[key]
            if not lost:
                break
            if lost == BROKEN:
                done["finds"].append(f"{lost}: {(Path(folder) / 'log').read_text()[-1500:]}")
                break
            path = Path(folder) / "work" / PARSERS[name].file
            content = path.read_bytes() if path.is_file() else b""
            kept = Find(lost, lost, content).keep(CORPUS / name)
            done["finds"].append(f"{lost}: {kept}")
            done["seconds"] += 1
            first += 1
    return done


def _run_process(name, folder, seconds, first):
    """Run one process; returns how it was lost, or nothing."""
    (folder / "work").mkdir()
    child = os.fork()
    if child == 0:
        code = UNFIT
        try:
            code = _be_child(name, folder, seconds, first)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return _watch(child, folder / "work" / PARSERS[name].file)


def _be_child(name, folder, seconds, first):
    log = (folder / "log").open("w")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    logging.disable(logging.CRITICAL)
    os.environ |= {"MLFLOW_TRACKING_URI": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    bench = Bench(PARSERS[name], folder / "work")
    bench.try_sound()
    _limit_memory()
    begun, spent = time.monotonic(), 0.0
    while spent < seconds and time.monotonic() - begun < 3 * seconds + 60:
        spent += bench.run_for(min(seconds - spent, 5.0), first)
        first += 1000
        finds = []
        for find in bench.smallest.values():
            kept = find.keep(CORPUS / name)
            finds.append(f"{find.place}: {find.reason!r}: {kept.name}")
        aside = folder / f"{REPORT}.part"
        aside.write_text(json.dumps({"cases": bench.cases, "seconds": spent, "finds": finds}))
        aside.replace(folder / REPORT)
    return 0


def _limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _watch(child, case):
    """Wait for a process; one that stands still is ended."""
    seen, since = None, 0.0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            ended = os.waitstatus_to_exitcode(status)
            return "" if ended == 0 else BROKEN if ended == UNFIT else f"the process ended with status {ended}"
        time.sleep(0.5)
        with contextlib.suppress(OSError, IndexError):
            now = case.stat().st_mtime_ns
            spent = _processor_seconds(child)
            if now != seen:
                seen, since = now, spent
            elif spent - since > STILL:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "the process stands still"


def _processor_seconds(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
