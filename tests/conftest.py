"""Fixtures and marks that every area's tests share."""

import gc
import logging
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.azure_server import AZURITE, azure_server, connection, make_container
from support.full_disks import may_mount
from support.gcs_server import make_bucket, storage_server
from support.manifest_files import KUBECTL
from support.mlflow_server import tracking_server
from support.processor_time import (
    in_words,
    is_quick,
    list_longest,
    processor_seconds,
    rank,
    read_times,
    write_times,
)
from support.s3_server import KEYS, make_s3_bucket, s3_server
from support.warm_python import warm_tasks
from support.web_server import make_certificate

# Times say nothing where several share the cores
settings.register_profile("busy machine", deadline=None, max_examples=60)
settings.load_profile("busy machine")

VARIABLE = "BODYPOSENET_TEST_DATA"
DATA_KEY = pytest.StashKey[Path | None]()
LEFT_OUT_KEY = pytest.StashKey[list[str]]()
TIMES_KEY = pytest.StashKey[dict[str, float]]()  # file below tests -> seconds of processor time, as measured before
SPENT_KEY = pytest.StashKey[Counter]()  # the same of this run's processes, and "" -> of all that they did
TESTS = Path(__file__).parent
COLLECT = (50_000, 20, 20)  # garbage is looked for seldom: each time the libraries' million objects are looked through
# Marks of what a target of its own runs, and which
SUITES = {"docker": "docker-test", "served": "test-served", "pages": "test-pages"}
# Threads of whatever computes; of several test processes each has a core for itself
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENCV_FOR_THREADS_NUM")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="run the files that take little processor time")
    parser.addoption("--write-times", action="store_true", help="keep each file's time in tests/processor_times.json")


def pytest_configure(config):
    """Find the test data; a run that must have it (CI) does not start without."""
    named = os.environ.get(VARIABLE, "")
    if named and not (Path(named) / "coco_sample").is_dir():
        raise pytest.UsageError(f"{VARIABLE}={named}: no folder coco_sample in it")
    if not named and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"{VARIABLE} is not set; name the folder that holds coco_sample")
    config.stash[DATA_KEY] = Path(named).resolve() if named else None
    config.stash[LEFT_OUT_KEY] = []
    config.stash[TIMES_KEY] = read_times()
    config.stash[SPENT_KEY] = Counter()
    gc.set_threshold(*COLLECT)
    os.environ["NO_GCE_CHECK"] = "true"  # asking Google's metadata server takes seconds, in threads that outlive a test
    os.environ.setdefault("BODYPOSENET_RUNNER", "exact")  # the same numbers on every machine; some tests ask for more
    if hasattr(config, "workerinput"):
        os.environ.update(dict.fromkeys(THREADS, "1"))


def pytest_ignore_collect(collection_path, config):
    """Not even import what takes long, if only the quick files are to run."""
    if not config.getoption("quick"):
        return None
    if collection_path.is_dir():
        return True if collection_path.name == "containers" else None
    return None if is_quick(below_tests(collection_path), config.stash[TIMES_KEY]) else True


def below_tests(path):
    return path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else path.name


def missing_programs() -> dict[str, str]:
    """Why tests that need a program are left out, by their mark; nothing with ``CI=true``, where they fail."""
    if os.environ.get("CI") == "true":
        return {}
    brought = {"kubectl": KUBECTL, "azurite": AZURITE}
    reasons = {
        mark: f"no {path}; make test brings it, with npm" for mark, path in brought.items() if not path.is_file()
    }
    tools = {"compiler": "g++", "node": "node"}
    return reasons | {mark: f"no {tool} is here" for mark, tool in tools.items() if shutil.which(tool) is None}


def pytest_collection_modifyitems(config, items):
    """Leave out the tests whose mark names what is not here, a line each; begin with the files that answer soon."""
    if config.getoption("quick"):
        leave_out(config, items, "slow", "--quick was asked for")
    if config.stash[DATA_KEY] is None:
        leave_out(config, items, "data", f"{VARIABLE} is not set")
    if os.environ.get("BODYPOSENET_HEAVY"):
        config.hook.pytest_deselected(items=[item for item in items if not item.get_closest_marker("heavy")])
        items[:] = [item for item in items if item.get_closest_marker("heavy")]
    else:
        leave_out(config, items, "heavy", "make test-heavy runs them")
    for mark, target in SUITES.items():
        if not os.environ.get(f"BODYPOSENET_{mark.upper()}"):
            leave_out(config, items, mark, f"make {target} runs them")
    for mark, reason in missing_programs().items():
        leave_out(config, items, mark, reason)
    if any(item.get_closest_marker("gpu") for item in items) and not gpu_here():
        leave_out(config, items, "gpu", "no NVIDIA GPU is here")
    leave_out_mounts(config, items)
    items.sort(key=lambda item: rank(below_tests(item.path), config.stash[TIMES_KEY]))


def leave_out_mounts(config, items):
    """Leave out what mounts disks, where that is not permitted: in most containers."""
    if any(item.get_closest_marker("mounts") for item in items):
        with tempfile.TemporaryDirectory() as folder:
            if not may_mount(folder):
                leave_out(config, items, "mounts", "no disk may be mounted here")


def leave_out(config, items, mark, reason):
    """Deselect the tests with a mark, and keep a line that says so."""
    without = [item for item in items if item.get_closest_marker(mark)]
    if without:
        items[:] = [item for item in items if not item.get_closest_marker(mark)]
        config.hook.pytest_deselected(items=without)
        config.stash[LEFT_OUT_KEY].append(f"{len(without)} tests marked '{mark}' are left out: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Measure what a test takes of the processor, with the processes that it starts and its share of the fixtures."""
    before = processor_seconds()
    try:
        return (yield)
    finally:
        item.config.stash[SPENT_KEY][below_tests(item.path)] += processor_seconds() - before


def pytest_sessionfinish(session):
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[LEFT_OUT_KEY]
        config.workeroutput["spent"] = dict(config.stash[SPENT_KEY])
    else:  # the test processes are children of the one that started them, which counts them
        config.stash[SPENT_KEY][""] = processor_seconds()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a test process has left out, all have."""
    if hasattr(node, "workeroutput"):
        node.config.stash[LEFT_OUT_KEY] = node.workeroutput["left_out"]
        node.config.stash[SPENT_KEY].update(node.workeroutput["spent"])


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash[LEFT_OUT_KEY]:
        terminalreporter.write_line(line)
    spent = dict(config.stash[SPENT_KEY])
    terminalreporter.write_line(in_words(spent.pop("", 0.0)))
    terminalreporter.write_line(list_longest(spent))
    if config.getoption("write_times"):
        write_times(spent)


def gpu_here():
    from bodyposenet.common.deploy.tensorrt.cuda import find_gpu
    from bodyposenet.common.errors import UserError

    try:
        find_gpu("")
    except UserError:
        return False
    return True


@pytest.fixture(scope="session")
def data_folder(request) -> Path:
    """The folder that ``BODYPOSENET_TEST_DATA`` names; only for tests marked ``data``."""
    folder = request.config.stash[DATA_KEY]
    if folder is None:
        pytest.fail("a test that uses data_folder must be marked 'data'")
    return folder


@pytest.fixture(scope="session")
def storage_url(tmp_path_factory) -> Iterator[str]:
    """A storage server of this test run."""
    with storage_server(tmp_path_factory.mktemp("storage")) as url:
        yield url


@pytest.fixture
def caplog(caplog) -> Iterator[pytest.LogCaptureFixture]:
    """What the project itself tells: a library's thread of an earlier test may tell something at any time."""
    own = logging.Filter("bodyposenet")
    caplog.handler.addFilter(own)
    yield caplog
    caplog.handler.removeFilter(own)


@pytest.fixture
def one_photo_at_a_time(monkeypatch) -> None:
    """Photos are looked at one after another, in their order."""
    monkeypatch.setenv("BODYPOSENET_PHOTOS_AT_ONCE", "1")


@pytest.fixture
def bucket(storage_url, monkeypatch) -> str:
    """An empty bucket, ``gs://...``, on the test run's storage server."""
    name = f"bucket-{secrets.token_hex(4)}"
    make_bucket(storage_url, name)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_url)
    return f"gs://{name}"


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory) -> Iterator[str]:
    """An S3 server of this test run."""
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def s3_bucket(s3_url, monkeypatch) -> str:
    """An empty bucket, ``s3://...``, on the test run's S3 server."""
    name = f"bucket-{secrets.token_hex(4)}"
    make_s3_bucket(s3_url, name)
    for variable, value in (KEYS | {"AWS_ENDPOINT_URL": s3_url}).items():
        monkeypatch.setenv(variable, value)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def azure_url(tmp_path_factory) -> Iterator[str]:
    """An Azure storage server of this test run."""
    with azure_server(tmp_path_factory.mktemp("azure")) as url:
        yield url


@pytest.fixture
def azure_bucket(azure_url, monkeypatch) -> str:
    """An empty container, ``abfs://...``, on the test run's Azure storage server."""
    name = f"bucket-{secrets.token_hex(4)}"
    make_container(azure_url, name)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection(azure_url))
    return f"abfs://{name}"


@pytest.fixture(params=["bucket", "s3_bucket", pytest.param("azure_bucket", marks=pytest.mark.azurite)])
def store_kind(request) -> str:
    """The fixture of an empty bucket, for each kind of store that can be written."""
    return request.param


@pytest.fixture
def store(request, store_kind) -> str:
    """An empty bucket of each kind of store that can be written."""
    return request.getfixturevalue(store_kind)


@pytest.fixture(scope="session")
def web_certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself has signed, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def cheap_keys() -> Iterator[None]:
    """Model files that are written with a key cost nothing; whoever reads them does not see a difference."""
    import pyrage
    from support.age_by_the_book import make_keys_cheap

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyrage.passphrase, "encrypt", pyrage.passphrase.encrypt)
        make_keys_cheap()
        yield


@pytest.fixture(scope="session")
def warm_tasks_python() -> Iterator[Path]:
    """What stands for Python in the tasks of a pipeline: it forks from a process that has imported what they need."""
    with tempfile.TemporaryDirectory() as folder, warm_tasks(Path(folder)) as program:
        yield program


@pytest.fixture(scope="session")
def quick_tasks(warm_tasks_python) -> Iterator[None]:
    """Tasks that ``kfp.local`` runs in processes of this machine need not import TensorFlow anew."""
    from support.local_run import forked_tasks

    with forked_tasks(warm_tasks_python):
        yield


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory) -> Iterator[str]:
    """An MLflow server of this test run; it takes half a minute to start, so its tests are marked ``slow``."""
    with tracking_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def tracked_at(monkeypatch, request):
    """Called with a store's address, it makes that the one to track in, in an experiment of the test's own."""

    def at(uri: str) -> str:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "BODYPOSENET_PIPELINE_RUN", "KFP_RUN_ID"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
        return uri

    return at
