"""The doctor: what it finds is so, and what is wrong comes with its remedy."""

import json
import re
import signal
import socket
import sys
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.permissions import run_bound

from bodyposenet.common.cli.main import main
from bodyposenet.common.doctor.choices import Choices, Precision, RunnerFinding, read_answer
from bodyposenet.common.doctor.compiled import Compiled, examine_compiled, look_into, mark_warm
from bodyposenet.common.doctor.findings import UNABLE, Findings, to_text
from bodyposenet.common.doctor.libraries import Extra, Libraries, examine_extra, find_unmeant
from bodyposenet.common.doctor.line import Line, format_block, format_bytes
from bodyposenet.common.doctor.machine import GpuFinding, Machine, list_gpus, read_core_limit, read_limit
from bodyposenet.common.doctor.services import ask_address, describe_services, examine_services
from bodyposenet.common.machine.compiled_folder import find_compiled_folder
from bodyposenet.common.plain_text import bare_address

DOCUMENT = Path(__file__).parents[3] / "docs" / "doctor.md"
MACHINE = Machine(
    system="Linux 6.1.0, x86_64",
    processor="Some Processor",
    instruction_sets=["AVX2"],
    cores=4,
    core_limit=1.5,
    memory_bytes=16_000_000_000,
    memory_limit_bytes=2_000_000_000,
    gpus=[GpuFinding("NVIDIA L4", "550.1", "23034 MiB")],
    gpu_note="",
    temporary_folder="/tmp",
    temporary_free_bytes=5_000_000,
    shared_memory_bytes=67_108_864,
)
LIBRARIES = Libraries(
    python="3.11.7",
    bodyposenet="0.1.0",
    versions={"numpy": "2.4.6", "cryptography": None} | dict.fromkeys(("tensorflow", "keras"), "1"),
    missing=[],
    extras=[Extra("crypto", ["cryptography"], "pip install 'bodyposenet[crypto]'")],
    unmeant={},
    note="",
)


@pytest.fixture
def group(tmp_path):
    """Writes limits of control groups; the process is in ``/pod/task``."""
    own = tmp_path / "own"
    own.write_text("1:memory:/old\n0::/pod/task\n")

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "root" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "root", own

    return write


@pytest.fixture
def server():
    """The address of a server that answers with the status that the path begins with."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.split("/")[1]))
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Makes a driver's tool that runs a line of shell."""

    def make(line):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{line}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def read_memory_limit(root, own):
    return read_limit("memory.max", "memory/memory.limit_in_bytes", root, own)


def test_the_least_limit_of_all_groups_above_counts(group):
    where = group(memory_dot_max="max", pod__memory_dot_max="4096\n", pod__task__memory_dot_max="8192\n")
    assert read_memory_limit(*where) == 4096


def test_the_older_kind_of_group_is_read_too(group):
    assert read_memory_limit(*group(memory__memory_dot_limit_in_bytes="1024\n")) == 1024


def test_max_is_no_limit(group):
    where = group(memory_dot_max="max\n", cpu_dot_max="max 100000\n")
    assert (read_memory_limit(*where), read_core_limit(*where)) == (None, None)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"pod__cpu_dot_max": "150000 100000\n", "pod__task__cpu_dot_max": "200000 100000\n"}, 1.5),
        ({"cpu__cpu_dot_cfs_quota_us": "50000", "cpu__cpu_dot_cfs_period_us": "100000"}, 0.5),
        ({"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"}, None),
    ],
)
def test_a_quota_is_cores_worth_of_time(group, files, cores):
    assert read_core_limit(*group(**files)) == cores


def test_gpus_are_what_the_driver_lists(driver):
    driver("echo 'NVIDIA L4, 550.1, 23034 MiB'; echo 'NVIDIA T4, 550.1, 15360 MiB'")
    gpus, note = list_gpus()
    assert gpus == [GpuFinding("NVIDIA L4", "550.1", "23034 MiB"), GpuFinding("NVIDIA T4", "550.1", "15360 MiB")]
    assert note == ""


def test_a_driver_that_fails_is_quoted(driver):
    driver("echo 'Failed to initialize NVML' >&2; exit 9")
    assert list_gpus() == ([], "none: nvidia-smi says Failed to initialize NVML")


def test_without_a_driver_there_are_no_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus() == ([], "none: NVIDIA's driver is not here")


def test_an_extra_that_lacks_a_module_comes_with_the_command_that_brings_it():
    assert examine_extra("train", {"tensorflow": "2", "keras": "3"}) == Extra("train", [], "")
    lacking = examine_extra("train", {"tensorflow": None, "keras": "3"})
    assert lacking == Extra("train", ["tensorflow"], "pip install 'bodyposenet[train]'")


def test_versions_out_of_range_are_told_and_absent_packages_are_not():
    found = find_unmeant(["click<1", "numpy>=1", "never-heard-of-it>=1", "pytest<1; extra == 'dev'"])
    assert set(found) == {"click", "pytest"}
    assert found["click"].endswith("is not allowed: pip install 'click<1'")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host:1/path?token=secret#secret", "https://host:1/path"),
        ("https://me:se/cr?et@host/path", "https://host/path"),
        ("me:secret@host:1?token=secret", "host:1"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("postgresql://me:secret@host/db", "postgresql://host/db"),
    ],
)
def test_addresses_are_shown_without_secrets(address, shown):
    assert bare_address(address) == shown


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("200", (True, "answers (200)")),
        ("401", (True, "answers, and asks for a login (401)")),
        ("404", (False, "answers 404 Not Found; is the address right?")),
        ("503", (False, "answers 503 Service Unavailable; is the address right?")),
    ],
)
@pytest.mark.parametrize("name", ["MLflow", "Kubeflow"])
def test_a_service_is_there_if_it_answers_as_one(server, name, path, answer):
    assert ask_address(name, f"http://me:secret@{server}/{path}/") == answer


def test_a_service_that_is_not_there_or_says_nothing_is_told_so_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        port, gone = silent.getsockname()[1], closed.getsockname()[1]
        closed.close()
        environment = {
            "MLFLOW_TRACKING_URI": f"http://me:secret@127.0.0.1:{port}",
            "KF_PIPELINES_ENDPOINT": f"http://127.0.0.1:{gone}?token=secret",
        }
        services = examine_services(environment, patience=0.2)
    assert [service.reachable for service in services] == [False, False]
    assert "secret" not in str(services)
    lines = list(describe_services(services))
    assert [line.is_problem for line in lines] == [True, True]
    assert lines[1].text == f"http://127.0.0.1:{gone}: does not answer: Connection refused"


def test_services_without_an_address_are_no_problem():
    assert [tuple(line) for line in describe_services(examine_services({}))] == [
        ("MLflow", "MLFLOW_TRACKING_URI is not set", False),
        ("Kubeflow", "KF_PIPELINES_ENDPOINT is not set", False),
    ]


def test_a_store_on_a_disk_is_looked_at(tmp_path):
    (tmp_path / "here.db").touch()
    assert ask_address("MLflow", f"sqlite:///{tmp_path}/here.db") == (True, "can be written")
    assert ask_address("MLflow", f"file://{tmp_path}/later") == (True, "will be made")
    assert ask_address("Kubeflow", "localhost:8080") == (False, "is no web address: http:// or https://")


def test_a_store_that_may_only_be_read_is_no_store(tmp_path):
    script = (
        "from bodyposenet.common.doctor.services import ask_address; print(ask_address('MLflow', 'sqlite:///a.db'))"
    )
    tmp_path.chmod(0o555)
    assert run_bound([sys.executable, "-c", script], cwd=tmp_path).stdout == "(False, 'cannot be written')\n"


def test_what_ends_tensorflow_is_told():
    assert read_answer(0, 'noise\n{"name": "float32", "reason": "slow"}\n', "") == Precision("float32", "slow")
    lacking = read_answer(-signal.SIGILL, "", "")
    assert lacking == Precision(None, "TensorFlow was built for instructions that this processor lacks")
    assert read_answer(-signal.SIGKILL, "", "").reason == "TensorFlow was ended by SIGKILL"
    assert read_answer(1, "", "Traceback\nImportError: no\n").reason == "TensorFlow does not start: ImportError: no"
    assert read_answer(3, "", "").reason == "TensorFlow does not start: exit code 3"


def test_code_is_warm_for_the_processor_that_it_was_made_for(tmp_path):
    assert look_into(tmp_path, "one").state == "cold"
    (tmp_path / "pose").mkdir()
    (tmp_path / "pose" / "decode.nbi").touch()
    assert look_into(tmp_path, "one") == Compiled("in part", str(tmp_path), 1)
    mark_warm(tmp_path, "one")
    assert [look_into(tmp_path, name).state for name in ("one", "other")] == ["warm", "in part"]


def test_where_numba_compiles_nothing_nothing_is_marked_as_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)  # as NUMBA_DISABLE_JIT=1 has it at a start
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    find_compiled_folder.cache_clear()
    try:
        done = CliRunner().invoke(main, ["doctor", "--warm"], catch_exceptions=False)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "NUMBA_DISABLE_JIT: numba compiles nothing while this is set; compile with: env -u" in done.stderr
        assert [*tmp_path.rglob("warm-*")] == []
        assert examine_compiled() == Compiled("off", None, 0)
    finally:
        find_compiled_folder.cache_clear()


def test_lines_are_aligned_and_problems_marked():
    lines = [Line("GPU", "none"), Line("memory", "word " * 30, is_problem=True)]
    assert format_block("Machine", lines).splitlines() == [
        "Machine",
        "  GPU     none",
        "! memory  " + "word " * 19 + "word",
        " " * 10 + "word " * 9 + "word",
    ]


@pytest.mark.parametrize(
    ("number", "text"), [(999, "999 bytes"), (67_108_864, "67.1 MB"), (25e9, "25 GB"), (4.2e12, "4.2 TB")]
)
def test_bytes_are_told_in_three_digits(number, text):
    assert format_bytes(number) == text


def find_keys(value):
    """Names of all keys in a value of JSON."""
    if isinstance(value, list):
        return set().union(*map(find_keys, value))
    return set(value).union(*map(find_keys, value.values())) if isinstance(value, dict) else set()


def find_all(able=True):
    runners = [RunnerFinding("onnxruntime", True, "1.32.0: fast")]
    services = examine_services({})
    compiled = Compiled("warm", "/cache", 51)
    return Findings(able, MACHINE, LIBRARIES, services, Choices(Precision("float32", "slow"), runners), compiled)


def test_every_key_for_scripts_is_documented():
    found = find_keys(json.loads(json.dumps(asdict(find_all())))) - set(LIBRARIES.versions)
    told = re.findall(r"`([\w.]+)`", DOCUMENT.read_text().split("## For scripts")[1])
    assert {part for words in told for part in words.split(".")} >= found
    assert {"able", "instruction_sets", "command", "reachable", "reason", "functions"} <= found


def test_the_page_has_what_was_found_and_its_remedies():
    text = to_text(find_all())
    assert "  processor     Some Processor, 4 cores, of which the container may use 1.5" in text
    assert "! memory        16 GB, of which the container may use 2 GB; training may need 4 GB" in text
    assert "  GPU           NVIDIA L4, 23034 MiB, driver 550.1" in text
    assert "! [crypto]     without cryptography: pip install 'bodyposenet[crypto]'" in text
    assert "  training     float32: slow" in text
    assert "The verbs can run here." in text


def test_a_module_that_every_verb_needs_and_that_is_missing_ends_with_2(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)  # as if it were not there
    done = CliRunner().invoke(main, ["doctor"], catch_exceptions=False)
    assert done.exit_code == 2
    assert "without pycocotools: pip install bodyposenet" in done.stdout
    assert done.stdout.rstrip().endswith(UNABLE)


@pytest.mark.slow
def test_the_machine_at_hand_can_run_verbs(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    done = CliRunner().invoke(main, ["doctor", "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["able"]) == (0, True)
    assert found["choices"]["precision"]["name"] in ("float32", "bfloat16", "float16")
    assert found["services"][0]["address"] == "sqlite:///mlflow.db"


def test_after_warming_nothing_is_compiled_whatever_the_skeleton(tmp_path):
    """In a process of its own, so that nothing was compiled in it before."""
    script = """
import numpy as np
from bodyposenet.common.doctor.warm import call_all, warm
from pathlib import Path
import sys

warm()
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.machine.compiling import announcer
from bodyposenet.common.pose import decode, fill_missing
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

before = announcer.count
call_all(Path(sys.argv[1]))
joints = np.random.default_rng(0).uniform(0, 90, (3, 18, 2)).astype(np.float32)
for skeleton in (BODYPOSENET_18, COCO_17):
    K, L = skeleton.num_joints, skeleton.num_limbs
    maps = np.random.default_rng(0).random((12, 16, K + 1 + 2 * L))
    fill_missing(decode(maps[..., : K + 1], maps[..., K + 1 :], skeleton), skeleton)
print(announcer.count - before)
"""
    done = run_bound([sys.executable, "-c", script, tmp_path])
    assert done.stdout == "0\n", done.stderr
