"""Submit: what goes to Kubeflow's API when a pipeline is uploaded or run, checked by a server that is a fake."""

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.kubeflow_store import KUBERNETES

from bodyposenet import __version__
from bodyposenet.common.cli.main import main
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.pipelines.compile import PIPELINES
from bodyposenet.pipelines.package import find_package
from bodyposenet.pipelines.server.access import HOST, NAMESPACE
from bodyposenet.pipelines.server.errors import AUTHORITIES, COOKIES, TOKEN, TOKEN_FILE

pytestmark = pytest.mark.usefixtures("no_address")


def run(*args):
    return CliRunner().invoke(main, ["pipeline", *map(str, args)], catch_exceptions=False)


def the(entries):
    (entry,) = entries.values()
    return entry


def test_an_upload_makes_the_pipeline_and_a_version_named_after_what_is_in_it(fake, tiny):
    result = run("upload", tiny)
    assert result.exit_code == 0, result.output
    version = find_package(str(tiny)).version
    assert re.fullmatch(rf"{re.escape(__version__)}-[0-9a-f]{{12}}", version)
    assert result.stdout == f"tiny {version}: uploaded\n"
    assert the(fake.pipelines)["display_name"] == "tiny"
    assert the(fake.versions)["display_name"] == version


def test_the_same_again_is_not_uploaded_and_it_says_so(fake, tiny):
    run("upload", tiny)
    before = len(fake.changes)
    result = run("upload", tiny)
    assert (result.exit_code, len(fake.changes)) == (0, before)
    assert "is there already, nothing to do" in result.stdout


def test_a_changed_pipeline_is_another_version_of_the_same(fake, tiny, tmp_path):
    run("upload", tiny)
    for number in range(3):
        (tmp_path / "other.yaml").write_text(tiny.read_text().replace("Compares two", f"Compares {number}"))
        assert "uploaded" in run("upload", tmp_path / "other.yaml").stdout
        assert "nothing to do" in run("upload", tmp_path / "other.yaml").stdout
    assert len(fake.pipelines) == 1
    assert len(fake.versions) == 4


def test_an_upload_that_was_cut_off_is_completed(fake, tiny):
    fake.fail("POST /pipelines/upload_version")
    result = run("upload", tiny)
    assert (result.exit_code, len(fake.versions)) == (2, 0)
    assert f"error: {fake.url}: it fails (503: planted); look at its log, and run this again" in result.stderr
    assert "uploaded" in run("upload", tiny).stdout
    assert (len(fake.pipelines), len(fake.versions)) == (1, 1)


@pytest.mark.parametrize("code", [409, 503, 0])
def test_a_version_that_is_there_although_its_upload_failed_is_taken(fake, tiny, code):
    fake.fail("POST /pipelines/upload_version", code, done=True)
    done = run("upload", tiny)
    assert (done.exit_code, len(fake.versions)) == (0, 1)
    assert "is there already, nothing to do" in done.stdout


@pytest.mark.parametrize("name", PIPELINES)
def test_each_pipeline_of_the_package_can_be_uploaded_and_submitted_as_it_is(fake, name):
    assert run("upload", name).exit_code == 0
    assert run("run", name.replace("_", "-")).exit_code == 0
    assert the(fake.runs)["pipeline_spec"]["pipeline_spec"] == the(fake.versions)["pipeline_spec"]["pipeline_spec"]


def test_a_run_carries_its_pipeline_and_its_parameters_as_what_they_are(fake, tiny, tmp_path):
    (tmp_path / "train.yaml").write_text("num_epoch: 3\n")
    given = {
        "reference": "1e-3", "candidate": "1", "images": "7", "strict": "true", "train_spec": f"@{tmp_path}/train.yaml",
        "keep": "[a, 2]", "settings": "{epochs: 2, lr: null}",
    }  # fmt: skip
    words = [word for key, value in given.items() for word in ("-p", f"{key}={value}")]
    result = run("run", tiny, *words, "--experiment", "trials", "--run-name", "first")
    assert result.exit_code == 0, result.output
    sent = the(fake.runs)
    assert result.stdout == f"run {sent['run_id']}: {fake.url}/#/runs/details/{sent['run_id']}\n"
    assert sent["runtime_config"]["parameters"] == {
        "reference": 0.001, "candidate": 1, "images": 7, "strict": True, "train_spec": "num_epoch: 3\n",
        "keep": ["a", 2], "settings": {"epochs": 2, "lr": "null"},
    }  # fmt: skip
    assert sent["display_name"] == "first"
    assert fake.experiments[sent["experiment_id"]]["display_name"] == "trials"
    assert sent["pipeline_spec"]["pipeline_spec"] == load_documents(tiny.read_text())[0]


def test_a_doubled_at_sign_is_the_character(fake, tiny):
    assert run("run", tiny, "-p", "reference=1", "-p", "train_spec=@@me").exit_code == 0
    assert the(fake.runs)["runtime_config"]["parameters"]["train_spec"] == "@me"


def test_parameters_that_do_not_fit_are_all_told_before_anything_is_sent(fake, tiny):
    words = ["candidat=1", "images=2.5", "strict=perhaps", "keep=a", "settings=[1]", "candidate=nan"]
    result = run("run", tiny, *(each for word in words for each in ("-p", word)))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: tiny: parameters do not fit",
        "  candidat: the pipeline has no such input; did you mean 'candidate'?",
        "  images: should be a whole number (got 2.5)",
        "  strict: should be true or false (got 'perhaps')",
        "  keep: should be a list (got 'a')",
        "  settings: should be a mapping (got [1])",
        "  candidate: should be a number (got nan)",
        "  reference: missing; the pipeline wants a number",
    ]
    assert fake.requests == []


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["-p", "reference"], "'reference' is not KEY=VALUE"),
        (["-p", "reference=1", "-p", "reference=2"], "reference is given twice"),
        (
            ["-p", "train_spec=@none.yaml"],
            "none.yaml: the file of train_spec cannot be read (No such file or directory)",
        ),
        (["-o", "here"], "--output: a run on Kubeflow does not take it"),
        (["--epochs", "1"], "--epochs: a run on Kubeflow does not take it"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(fake, tiny, args, problem):
    result = run("run", tiny, *args)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize("flag", [["--wait"], ["--host", "http://kfp"], ["-p", "a=b"], ["--no-cache"]])
def test_without_a_name_a_run_is_one_on_this_machine_and_takes_no_flag_of_kubeflow_s(flag):
    result = run("run", *flag)
    assert result.exit_code == 2
    assert "without a pipeline's NAME it runs here" in result.stderr


def all_tasks(spec):
    graphs = [each["dag"]["tasks"] for each in (spec["root"], *spec["components"].values()) if "dag" in each]
    return [task for tasks in graphs for task in tasks.values()]


def test_in_kubernetes_native_mode_pipelines_are_those_of_kubernetes(fake, tiny):
    run("upload", tiny)
    in_database = fake.pipelines
    fake.pipeline_store = KUBERNETES
    assert "uploaded" in run("upload", tiny).stdout
    assert "nothing to do" in run("upload", tiny).stdout
    assert the(fake.pipelines)["namespace"] == "kubeflow"
    assert the(fake.pipelines).keys() - the(in_database).keys() == {"namespace"}
    assert run("run", tiny, "-p", "reference=1").exit_code == 0
    schedule = ("schedule", tiny, "-p", "reference=1", "--name", "mine", "--cron", "@daily")
    assert [run(*schedule).stdout[0] for _ in range(2)] == ["+", "="]


def test_an_archived_experiment_is_found_and_takes_runs(fake, tiny):
    run("run", tiny, "-p", "reference=1", "--experiment", "old")
    fake.archive_experiment({}, None, the(fake.experiments)["experiment_id"])
    assert run("run", tiny, "-p", "reference=1", "--experiment", "old").exit_code == 0
    assert [each["experiment_id"] for each in fake.runs.values()] == [the(fake.experiments)["experiment_id"]] * 2


def test_without_cache_no_task_takes_part_in_it_not_even_in_loops_and_conditions(fake, tiny):
    run("run", tiny, "-p", "reference=1")
    run("run", tiny, "-p", "reference=1", "--no-cache")
    cached, uncached = (all_tasks(each["pipeline_spec"]["pipeline_spec"]) for each in fake.runs.values())
    assert len(cached) == len(uncached) == 5
    assert sum(bool(task.get("cachingOptions")) for task in cached) >= 3
    assert [task["cachingOptions"] for task in uncached] == [{}] * 5


def test_what_was_sent_runs(fake, tiny, tmp_path):
    run("run", tiny, "-p", "reference=0.6", "-p", "candidate=0.59", "--no-cache")
    assert fake.execute(the(fake.runs), tmp_path) == {"Output": True}
    run("run", tiny, "-p", "reference=0.6", "-p", "candidate=0.5")
    assert fake.execute(list(fake.runs.values())[-1], tmp_path) == {"Output": False}


def test_no_address_is_told(tiny):
    result = run("upload", tiny)
    assert result.exit_code == 2
    assert result.stderr == f"error: no address of Kubeflow Pipelines; give --host, or set {HOST}\n"
    result = run("upload", tiny, "--host", "localhost:8080")
    assert "localhost:8080: no web address; begin with http:// or https://" in result.stderr


@pytest.mark.parametrize("form", ["{}/", " {}\n", "{}/#/runs", "{}/?ns=me#/pipelines", "{}//"])
def test_an_address_may_be_copied_from_a_browser(fake, tiny, form):
    result = run("run", tiny, "-p", "reference=1", "--host", form.format(fake.url))
    assert (result.exit_code, result.stdout) == (0, f"run {(it := next(iter(fake.runs)))}: {page(fake, it)}\n")
    assert run("list", "--host", fake.url.replace("http", "HTTP")).exit_code == 0


def page(fake, run_id):
    return f"{fake.url}/#/runs/details/{run_id}"


@pytest.mark.parametrize(
    "address", ["http://", "http:///x", "http://[::1", "http://a:99999", "http://a:b", "http://a b"]
)
def test_what_is_no_address_is_told_and_not_asked(tiny, address):
    result = run("upload", tiny, "--host", address)
    assert result.exit_code == 2
    assert "no web address; give one such as https://HOST/pipeline" in result.stderr


def test_a_password_in_an_address_is_refused_and_not_shown(fake, tiny):
    result = run("run", tiny, "-p", "reference=1", "--host", fake.url.replace("//", "//me:secret@"))
    assert (result.exit_code, fake.requests) == (2, [])
    assert f"error: {fake.url}: an address holds no user and password here; put a token into {TOKEN}" in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize("name", [TOKEN, COOKIES, TOKEN_FILE])
@pytest.mark.parametrize("secret", ["canary\u2603", "canary\nX: y", "canary\x07", "canary\xe4"])
def test_a_secret_that_no_header_can_hold_is_refused_and_not_shown(fake, tiny, tmp_path, monkeypatch, name, secret):
    (tmp_path / "token").write_bytes(secret.encode("latin-1", "replace") + b"\xff")
    monkeypatch.setenv(name, str(tmp_path / "token") if name == TOKEN_FILE else secret)
    result = run("upload", tiny)
    assert (result.exit_code, fake.requests) == (2, [])
    assert result.stderr == (
        f"error: {name}: has characters that no header can hold; set it to what was issued, alone\n"
    )


@pytest.mark.parametrize("name", [TOKEN, TOKEN_FILE])
def test_a_token_may_end_in_a_line_feed(tiny, tmp_path, monkeypatch, name):
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv(name, str(tmp_path / "token") if name == TOKEN_FILE else "secret\n")
    with kubeflow(token="secret") as fake:
        assert run("upload", tiny, "--host", fake.url).exit_code == 0


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_told_by_their_file(tiny, tmp_path, monkeypatch, text):
    file = tmp_path / "authority.pem"
    if text:
        file.write_text(text)
    monkeypatch.setenv(AUTHORITIES, str(file))
    result = run("upload", tiny, "--host", "https://kfp.invalid")
    assert result.exit_code == 2
    assert re.match(rf"error: {re.escape(str(file))}: no certificates can be read \(.+\); name a file", result.stderr)


@pytest.fixture
def proxied(monkeypatch):
    """The environment names no proxy yet."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch.setenv


def test_a_server_behind_a_proxy_is_asked_through_it(fake, tiny, proxied):
    proxied("HTTP_PROXY", fake.url.replace("//", "//me:secret@"))
    assert run("upload", tiny, "--host", "http://kfp.invalid").exit_code == 0
    assert the(fake.pipelines)["display_name"] == "tiny"
    proxied("NO_PROXY", "kfp.invalid")
    assert "http://kfp.invalid: Kubeflow Pipelines does not answer (Failed to resolve" in run(
        "upload", tiny, "--host", "http://kfp.invalid"
    ).stderr  # fmt: skip


@pytest.mark.parametrize("proxy", ["socks5://me:secret@proxy:1080", "http://me:secret@", "http://me:secret@proxy:x"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(fake, tiny, proxied, proxy):
    proxied("HTTP_PROXY", proxy)
    assert run("upload", tiny).exit_code == 0  # on this machine: a forwarded port
    result = run("upload", tiny, "--host", "http://kfp.invalid")
    assert result.exit_code == 2
    assert "no address of a proxy; name an http:// proxy, or put the server into NO_PROXY" in result.stderr
    assert "secret" not in result.stderr


def test_a_server_that_is_down_is_told_at_once(tiny):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = run("upload", tiny, "--host", host)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {host}: Kubeflow Pipelines does not answer (")
    assert "refused); check the address, and that it runs" in result.stderr


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for_for_ever(tiny, monkeypatch):
    monkeypatch.setattr("bodyposenet.pipelines.server.connection.PATIENCE", (5, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("upload", tiny, "--host", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert result.exit_code == 2
    assert "does not answer (Read timed out" in result.stderr


@pytest.fixture
def website(request):
    """A web server that is no Kubeflow: it answers everything with one code, one header and one text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            code, header, text = request.param
            self.send_response(code)
            self.send_header(*header)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("website", "problem"),
    [
        ((200, ("Content-Type", "text/html"), b"<html>"), "no API of Kubeflow Pipelines is here;"),
        ((404, ("Content-Type", "text/plain"), b"nothing"), "no API of Kubeflow Pipelines is here (404);"),
        ((302, ("Location", "/dex/login"), b""), "most likely a login; put a token into KFP_EXISTING_TOKEN"),
        ((401, ("Content-Type", "text/plain"), b""), "it does not know who asks (401); put a token"),
        (
            (403, ("Content-Type", "application/json"), b'{"message": "not yours"}'),
            "permission denied (403: not yours);",
        ),
        ((502, ("Content-Type", "text/html"), b"<html>"), "it fails (502); look at its log"),
        *(
            ((200, ("Content-Type", "application/json"), answer), "no API of Kubeflow Pipelines is here;")
            for answer in (b"", b"null", b"[]", b"{}", b"{", b'"up"', b"1", b'{"status": "up"}', b"\xff\xfe")
        ),
    ],
    indirect=["website"],
)
def test_what_answers_otherwise_is_told(website, tiny, problem):
    result = run("upload", tiny, "--host", website)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1


RUNS = b'{"multi_user": false, "runs": 3}'


@pytest.mark.parametrize("website", [(200, ("Content-Type", "application/json"), RUNS)], indirect=True)
def test_a_list_that_is_none_is_told(website):
    assert "no API of Kubeflow Pipelines is here;" in run("list", "--host", website).stderr


def test_a_token_is_brought_from_the_environment_or_a_pod_s_file(tiny, tmp_path, monkeypatch):
    (tmp_path / "token").write_text("secret\n")
    with kubeflow(token="secret") as fake:
        assert "it does not know who asks (401)" in run("upload", tiny, "--host", fake.url).stderr
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
        assert run("upload", tiny, "--host", fake.url).exit_code == 0
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "none"))
        assert "the token cannot be read" in run("upload", tiny, "--host", fake.url).stderr
        monkeypatch.setenv(TOKEN, "secret")
        assert run("upload", tiny, "--host", fake.url).exit_code == 0


def test_a_kubeflow_of_several_users_is_told_whose_it_is_about(tiny, monkeypatch):
    with kubeflow(multi_user=True) as fake:
        result = run("run", tiny, "-p", "reference=1", "--host", fake.url)
        assert result.exit_code == 2
        assert "this Kubeflow has several users; say whose: --namespace, or KFP_NAMESPACE" in result.stderr
        monkeypatch.setenv(NAMESPACE, "mine")
        assert run("run", tiny, "-p", "reference=1", "--host", fake.url).exit_code == 0
        assert the(fake.experiments)["namespace"] == "mine"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file or directory"),
        ("", "it holds neither one document nor two"),
        ("[1, 2]", "it holds neither one document nor two"),
        ("a: [", "while parsing"),
        ("name: nightly", 'has no field named "name"'),
        ("pipelineInfo: {name: x}", "it names no pipeline"),
    ],
)
def test_a_file_that_is_no_compiled_pipeline_is_told(fake, tmp_path, text, problem):
    if text is not None:
        (tmp_path / "x.yaml").write_text(text)
    result = run("upload", tmp_path / "x.yaml")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "write one with bpnet pipeline compile" in result.stderr
    assert fake.requests == []


def test_a_pipeline_that_is_not_there_is_told_with_the_near_one(fake):
    assert "no such pipeline; did you mean 'prune_retrain'?" in run("upload", "prune_retrian").stderr
