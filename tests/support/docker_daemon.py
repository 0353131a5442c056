"""A Docker daemon of a test run's own: on a private socket, without networks, and gone afterwards without a trace."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "docker.io"  # Debian's
PATIENCE = 120  # seconds until the daemon must answer, or must have ended
POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian's packages whether they may start their services
PARENT_DIED = 1  # PR_SET_PDEATHSIG
QUIET = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")  # no change to this machine


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs.

    Attributes:
        folder: Everything it writes is in it.
        process: The daemon.
    """

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        """The value of ``DOCKER_HOST``."""
        return f"unix://{self.folder / 'docker.sock'}"


def install(program: str, package: str) -> None:
    """Install a Debian package unless its program is there; no service of it is started."""
    if shutil.which(program):
        return
    with no_services():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "--quiet=2", *command], env=environment, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Within it packages that are installed start nothing."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """Run a daemon in an empty folder; with the block it ends, and the folder goes.

    Raises:
        RuntimeError: It did not start, or something of it is left.
    """
    folder.mkdir(parents=True)
    running = start(folder)
    try:
        wait_for(running)
        yield running
    finally:
        end(running)
    left = [*left_behind(folder)]
    if left:
        raise RuntimeError("left behind:\n" + "\n".join(left))


def start(folder: Path) -> Daemon:
    places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "docker.pid"]
    command = ["dockerd", *map(str, places), "--host", f"unix://{folder / 'docker.sock'}", *QUIET]
    with (folder / "dockerd.log").open("wb") as log:
        # A session of its own: a Ctrl-C is for the test run, which then ends the daemon.
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, preexec_fn=end_with_parent)
    return Daemon(folder, process)


def end_with_parent() -> None:
    """Have this process told to end if its parent dies, however that dies."""
    ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGTERM)


def wait_for(running: Daemon) -> None:
    """Ask until it answers, with Docker's own program: where nobody listens the Python client leaves a socket open."""
    deadline = time.monotonic() + PATIENCE
    while running.process.poll() is None and time.monotonic() < deadline:
        if subprocess.run(["docker", "--host", running.host, "version"], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    log = (running.folder / "dockerd.log").read_text(errors="replace")
    raise RuntimeError(f"the Docker daemon does not answer:\n{log[-3000:]}")


def end(running: Daemon) -> None:
    """End the daemon, which ends its containers; undo its mounts, and remove its folder."""
    running.process.terminate()
    try:
        running.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    deadline = time.monotonic() + PATIENCE
    while processes(running.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    for place in reversed(mounts(running.folder)):
        subprocess.run(["umount", place], check=True)
    shutil.rmtree(running.folder)


def left_behind(folder: Path) -> Iterator[str]:
    """What still stands of a daemon that had this folder, a line each."""
    yield from (f"process {told}" for told in processes(folder))
    yield from (f"mount {place}" for place in mounts(folder))
    if folder.exists():
        yield f"folder {folder}"


def processes(folder: Path) -> list[str]:
    """Processes whose command line names the folder: the daemon, its containerd, and a shim for each container."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"{folder}/" in command and int(place.parent.name) != os.getpid():
                found.append(f"{place.parent.name} {command[:200]}")
    return found


def mounts(folder: Path) -> list[str]:
    """Places below the folder that something is mounted on, in the order of mounting."""
    table = Path("/proc/self/mounts").read_text().splitlines()
    return [place for place in (line.split()[1] for line in table) if place.startswith(f"{folder}/")]
