"""Warm Python: a process that has imported the heavy libraries, and forks for each command that it is sent.

TensorFlow takes five seconds of processor time to import. A page of commands would pay that for every line. What
compiles pipelines has a process without TensorFlow: Kubeflow asks for the stack often, which takes the longer the more
is imported.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "mlflow", "bodyposenet.common.cli.main")
KUBEFLOW = (
    "kfp",
    "kfp.kubernetes",
    "kfp_server_api",
    "bodyposenet.common.cli.main",
    "bodyposenet.pipelines.cli.pipeline",
)
TASKS = ("kfp.dsl.executor_main", "bodyposenet.common.tasks", "mlflow.store.tracking.sqlalchemy_store", *HEAVY)
CLIENT = """#!{python} -SE
import json, os, socket, sys
address = {kubeflow!r} if sys.argv[1:2] in (["component"], ["pipeline"], ["schedule"]) else {heavy!r}
with socket.socket(socket.AF_UNIX) as there:
    there.connect(address)
    said = json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(there, [len(said).to_bytes(4, "big")], [0, 1, 2])
    there.sendall(said)
    answer = there.recv(1)
sys.exit(answer[0] if answer else 70)
"""
PATIENCE = 180  # seconds until it must be there


@contextlib.contextmanager
def warm_python(folder):
    """Run two such processes; yields a folder for the head of PATH, in which ``bpnet`` and ``warm-python FILE`` are.

    Args:
        folder: An empty one, with a short path: the address of a socket has at most 107 characters.
    """
    addresses = {name: str(folder / name) for name in ("heavy", "kubeflow")}
    programs = _write_clients(folder, "bpnet", "warm-python", **addresses)
    with _listening(addresses["heavy"], HEAVY), _listening(addresses["kubeflow"], KUBEFLOW):
        yield programs


@contextlib.contextmanager
def warm_tasks(folder):
    """Run one for the tasks of a pipeline; yields the program that stands for Python there.

    Args:
        folder: As above.
    """
    address = str(folder / "tasks")
    programs = _write_clients(folder, "warm-python", heavy=address, kubeflow=address)
    with _listening(address, TASKS):
        yield programs / "warm-python"


def _write_clients(folder, *names, **addresses):
    """Write the programs; returns their folder."""
    programs = folder / "bin"
    programs.mkdir()
    for name in names:
        (programs / name).write_text(CLIENT.format(python=sys.executable, **addresses))
        (programs / name).chmod(0o755)
    return programs


@contextlib.contextmanager
def _listening(address, libraries):
    """Run a process that has imported these."""
    log = Path(f"{address}.log")
    with log.open("wb") as to:
        server = subprocess.Popen([sys.executable, __file__, address, *libraries], stdout=to, stderr=to)
    try:
        end = time.monotonic() + PATIENCE
        while not Path(address).exists():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()


def serve(address, *libraries):
    """Import, then fork for whoever connects, without end."""
    import_all(libraries)
    importlib.import_module("age_by_the_book").make_keys_cheap()
    gc.freeze()  # no process that is forked need look through what has been imported

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.part")
        listener.listen()
        os.rename(f"{address}.part", address)
        while True:
            asker, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(asker)
            asker.close()
            with contextlib.suppress(ChildProcessError):  # those that are done
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def import_all(libraries=HEAVY):
    """Import libraries into this process, so that those forked from it need not."""
    for library in libraries:
        importlib.import_module(library)


def answer(asker):
    """Be the process that was asked for, tell its exit code, and end."""
    code = 1
    try:
        head, files, _, _ = socket.recv_fds(asker, 4, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        program, words, folder, environment = json.loads(received(asker, int.from_bytes(head, "big")))
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        code = run(program, words)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        asker.sendall(bytes([code]))
        os._exit(code)


def received(asker, size):
    content = b""
    while len(content) < size:
        content += asker.recv(size - len(content))
    return content


def run(program, words):
    """What a fresh process would do, and the exit code it would end with."""
    from bodyposenet.common.cli.main import main

    sys.argv = [program, *words]
    try:
        if program == "bpnet":
            main()
        elif words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(words[1], {"__name__": "__main__"})
        else:
            (file,) = words
            exec(compile(Path(file).read_text(), file, "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
