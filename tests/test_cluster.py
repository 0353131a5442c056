"""Clusters: what TF_CONFIG and an indexed job's variables mean, and workers that wait for each other."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from support.worker_processes import free_addresses

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.cluster import ALONE, Cluster, cluster_of
from bodyposenet.common.model.rendezvous import listens, meet

JOB = {
    "JOB_COMPLETION_INDEX": "1",
    "BODYPOSENET_WORKERS": "3",
    "BODYPOSENET_SERVICE": "training",
    "HOSTNAME": "bpnet-1",
}


def tf_config(kind="worker", index=0, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_nothing_told_is_one_process():
    assert cluster_of({}) == ALONE
    assert (ALONE.chief, ALONE.shared, ALONE.replicas, ALONE.shard) == (True, False, 1, (0, 1))
    assert cluster_of({"JOB_COMPLETION_INDEX": "3"}) == ALONE  # a job whose pods do something else
    assert cluster_of({**JOB, "BODYPOSENET_WORKERS": "1", "JOB_COMPLETION_INDEX": "0"}) == ALONE


def test_tf_config_names_the_workers_and_this_one():
    found = cluster_of(tf_config(index=1, worker=["a:1", "b:2"]), gpus=4)
    assert found == Cluster(("a:1", "b:2"), index=1, gpus=4)
    assert (found.chief, found.shared, found.replicas, found.shard) == (False, True, 8, (1, 2))


def test_a_chief_is_the_first_worker():
    names = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    assert cluster_of(tf_config("chief", 0, **names)) == Cluster(("a:1", "b:2", "c:3"), index=0)
    assert cluster_of(tf_config("worker", 1, **names)) == Cluster(("a:1", "b:2", "c:3"), index=2)


def test_an_indexed_job_s_pods_are_found_under_its_headless_service():
    workers = ("bpnet-0.training:2222", "bpnet-1.training:2222", "bpnet-2.training:2222")
    assert cluster_of(JOB) == Cluster(workers, index=1)
    elsewhere = {**JOB, "BODYPOSENET_PORT": "4000", "BODYPOSENET_JOB": "night", "HOSTNAME": "x"}
    assert cluster_of(elsewhere).workers[2] == "night-2.training:4000"


def test_tf_config_goes_before_the_job_s_variables_and_says_the_same():
    found = cluster_of(JOB)
    assert cluster_of({**JOB, "TF_CONFIG": found.config()}) == found
    assert cluster_of({"TF_CONFIG": found.config()}) == found
    assert cluster_of({**JOB, **tf_config(worker=["a:1", "b:2"])}).workers == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG: cannot be read"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG: cannot be read"),
        (tf_config(index=2, worker=["a:1", "b:2"]), "task worker 2 is not in the cluster"),
        (tf_config("evaluator", worker=["a:1", "b:2"]), "tasks of kind 'evaluator' do not train"),
        (tf_config(worker=["a:1"], ps=["b:2"]), "tasks of kind 'ps' do not train"),
        ({**JOB, "BODYPOSENET_WORKERS": "many"}, "BODYPOSENET_WORKERS: should be a whole number from 1 on"),
        ({**JOB, "JOB_COMPLETION_INDEX": "3"}, "JOB_COMPLETION_INDEX: is 3, but there are 3 workers"),
        ({**JOB, "JOB_COMPLETION_INDEX": ""}, "JOB_COMPLETION_INDEX: should be a whole number"),
        ({**JOB, "BODYPOSENET_PORT": "70000"}, "BODYPOSENET_PORT: should be a whole number from 1 to 65535"),
        ({**JOB, "BODYPOSENET_SERVICE": ""}, "BODYPOSENET_SERVICE: is not set; set it to the headless service"),
        ({**JOB, "HOSTNAME": "somewhere"}, "BODYPOSENET_JOB: host name somewhere does not end in -1"),
    ],
)
def test_variables_that_make_no_sense_are_told_by_name(environ, problem):
    with pytest.raises(UserError, match=problem):
        cluster_of(environ)


def launched(*arguments, **environ):
    command = [sys.executable, "-m", "bodyposenet.common.model.cluster", *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return subprocess.run(command, env=kept | environ, capture_output=True, text=True, check=False)


def test_the_launcher_prints_tf_config_and_runs_commands_with_it():
    printed = launched(**JOB)
    assert cluster_of({"TF_CONFIG": printed.stdout}) == cluster_of(JOB)
    ran = launched("--", sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])", **JOB)
    assert ran.stdout == printed.stdout
    failed = launched(**{**JOB, "BODYPOSENET_SERVICE": ""})
    assert (failed.returncode, failed.stderr[:27]) == (2, "error: BODYPOSENET_SERVICE:")
    absent = launched("no-such-command", "-x", **JOB)
    assert (absent.returncode, absent.stderr) == (127, "error: no-such-command -x: No such file or directory\n")


def in_threads(*calls):
    """The errors of calls that run side by side."""
    errors = {}

    def run(number, call):
        try:
            call()
        except UserError as error:
            errors[number] = str(error)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return errors


def test_workers_that_come_at_any_time_meet():
    addresses = free_addresses(3)
    late = threading.Event()

    def come_late(index):
        late.wait()
        meet(Cluster(addresses, index), 20)

    threading.Timer(0.5, late.set).start()
    calls = [lambda: come_late(0), lambda: meet(Cluster(addresses, 1), 20), lambda: come_late(2)]
    assert in_threads(*calls) == {}
    with socket.create_server(("localhost", int(addresses[0].partition(":")[2]))):
        assert listens(addresses[0], 1)  # the chief has left the port to TensorFlow


def test_workers_wait_only_so_long_and_tell_for_whom():
    addresses = free_addresses(3)
    calls = [lambda: meet(Cluster(addresses, 0), 9), lambda: meet(Cluster(addresses, 2), 4)]  # the chief waits longer
    errors = in_threads(*calls)
    assert errors[0].startswith(f"worker 1 ({addresses[1]})")
    assert "did not come within 9 seconds; see whether" in errors[0]
    told = in_threads(lambda: meet(Cluster(addresses, 0), 0.1))[0]
    assert told.startswith(f"worker 1 ({addresses[1]}) and worker 2 ({addresses[2]}) did not come")
    assert errors[1].startswith(f"workers that the chief ({addresses[0]}) waits for did not come within 4 seconds")
    assert "the chief, worker 0" in in_threads(lambda: meet(Cluster(addresses, 1), 0.5))[0]


def test_strangers_at_the_chief_s_port_do_not_count():
    addresses = free_addresses(2)
    port = int(addresses[0].partition(":")[2])

    def knock(greeting):
        while not listens(addresses[0], 1):
            pass
        with socket.create_connection(("localhost", port)) as door:
            door.sendall(greeting)

    strangers = [b"GET / HTTP/1.1\r\n", b"bodyposenet worker 1 3\n", b"bodyposenet worker x 2\n", b""]
    calls = [lambda: meet(Cluster(addresses, 0), 8), *(lambda words=words: knock(words) for words in strangers)]
    assert list(in_threads(*calls)) == [0]


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("localhost", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        with pytest.raises(UserError, match="cannot be listened at: Address already in use; name another port"):
            meet(Cluster((address, "localhost:1"), 0), 1)
