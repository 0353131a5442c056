"""Kubeflow fake: NOT Kubeflow. An HTTP server on loopback that answers as its API server does, with all in memory.

It knows the calls that this project makes and no others, holds each to ``kubeflow_rules``, and writes all of them down.
It starts no pods and keeps no clock: :meth:`KubeflowFake.execute` does what it was sent under ``kfp.local``.
"""

import contextlib
import itertools
import json
import re
import threading
import warnings
from datetime import UTC, datetime
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import yaml
from kfp import components, local
from support.kubeflow_rules import (
    BadRequest,
    check_model,
    check_parameters,
    check_pipeline,
    check_recurring,
    demand,
    documents_of,
    filtered_name,
)

API = "/apis/v2beta1"
PAGE = 2  # entries of a list, whatever is asked for: so that every client must turn pages
ROUTES = {  # what is asked, which method answers, and the type of the answer
    "GET /healthz": ("healthz", "V2beta1GetHealthzResponse"),
    "GET /experiments": ("list_experiments", "V2beta1ListExperimentsResponse"),
    "POST /experiments": ("new_experiment", "V2beta1Experiment"),
    "GET /pipelines": ("list_pipelines", "V2beta1ListPipelinesResponse"),
    "POST /pipelines": ("new_pipeline", "V2beta1Pipeline"),
    "POST /pipelines/upload_version": ("upload_version", "V2beta1PipelineVersion"),
    "GET /pipelines/(?P<key>[^/]+)/versions": ("list_versions", "V2beta1ListPipelineVersionsResponse"),
    "POST /runs": ("new_run", "V2beta1Run"),
    "GET /runs": ("list_runs", "V2beta1ListRunsResponse"),
    "GET /runs/(?P<key>[^/:]+)": ("get_run", "V2beta1Run"),
    "GET /recurringruns": ("list_recurring", "V2beta1ListRecurringRunsResponse"),
    "POST /recurringruns": ("new_recurring", "V2beta1RecurringRun"),
    "POST /recurringruns/(?P<key>[^/:]+):enable": ("enable", "object"),
    "POST /recurringruns/(?P<key>[^/:]+):disable": ("disable", "object"),
    "DELETE /recurringruns/(?P<key>[^/:]+)": ("delete", "object"),
}


CHECKED = {"experiment": 128, "pipeline": 128, "pipeline_version": 127}  # the most characters of names


LOG = """I1128 19:18:41 main.go:67] Setting log level to: '1'
train failed: planted in a task
E1128 19:18:52 launcher_v2.go:449] Component failed to execute successfully: exit status 2
F1128 19:18:52 main.go:59] failed to execute component: exit status 2
"""


class Refusal(Exception):  # noqa: N818
    """An answer with a code of 400 or more."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


class KubeflowFake:
    """What the server knows, and what it was asked.

    Args:
        multi_user: It has a namespace for each user, and wants to be told one.
        token: Whoever does not bring this is refused.
        states: That a run is told in, one after the other, by those who ask for it.
    """

    def __init__(self, *, multi_user=False, token=None, states=("PENDING", "RUNNING", "SUCCEEDED")):
        self.multi_user, self.token, self.states = multi_user, token, states
        self.experiments, self.pipelines, self.versions, self.runs, self.recurring = {}, {}, {}, {}, {}
        self.requests, self.failures, self.most_enabled = [], [], 0
        self.logs = {"tiny-abc12-system-container-impl-7": LOG}  # by pod
        self._looks, self._numbers, self._lock = {}, itertools.count(1), threading.Lock()

    @property
    def changes(self):
        """The requests that changed something, or tried to."""
        return [request for request in self.requests if not request.startswith("GET")]

    def fail(self, request, code=503, times=1, *, done=False):
        """Refuse the next requests whose line matches, such as ``POST /recurringruns``; ``done``: and do them."""
        self.failures += [(re.compile(request), code, done)] * times

    def answer(self, line, query, body, headers):
        """What a request is answered with; JSON unless it is bytes."""
        with self._lock:
            self.requests.append(line)
            if self.token and headers.get("Authorization") != f"Bearer {self.token}":
                raise Refusal(401, "no or wrong token")
            failure = next((each for each in self.failures if each[0].fullmatch(line)), None)
            if failure:
                self.failures.remove(failure)
                if not failure[2]:
                    raise Refusal(failure[1], "planted")
            for route, (name, kind) in ROUTES.items():
                if found := re.fullmatch(route, line):
                    answer = getattr(self, f"_{name}")(query, body, **found.groupdict())
                    check_model(answer, kind, "answer")
                    if failure:
                        raise Refusal(failure[1], "planted")
                    return answer
            raise Refusal(404, "")

    def execute(self, asked, folder):
        """Do what a run, or a recurring run, asks for, in this process; returns the pipeline's outputs."""
        documents = self._check_source(asked)
        file = folder / "executed.yaml"
        file.write_text(yaml.safe_dump_all([documents[key] for key in ("pipeline_spec", "platform_spec")]))
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a process of this machine takes no resources and no image
            done = components.load_component_from_file(str(file))(**asked["runtime_config"]["parameters"])
        return done.outputs

    def _healthz(self, query, body):
        return {"multi_user": self.multi_user}

    def _list_experiments(self, query, body):
        return self._page(self.experiments.values(), query, "experiments")

    def _new_experiment(self, query, body):
        check_model(body, "V2beta1Experiment")
        return self._add(self.experiments, "experiment_id", body)

    def _list_pipelines(self, query, body):
        return self._page(self.pipelines.values(), query, "pipelines")

    def _new_pipeline(self, query, body):
        check_model(body, "V2beta1Pipeline")
        return self._add(self.pipelines, "pipeline_id", body)

    def _upload_version(self, query, body):
        demand(set(query) <= {"name", "pipelineid", "description"}, f"unknown in the query: {query}")
        self._found(self.pipelines, query["pipelineid"])
        same = [each for each in self.versions.values() if each["pipeline_id"] == query["pipelineid"]]
        if query["name"] in [each["display_name"] for each in same]:
            raise Refusal(409, "already exists")
        version = {
            "display_name": query["name"],
            "pipeline_id": query["pipelineid"],
            "pipeline_spec": documents_of(body),
        }
        return self._add(self.versions, "pipeline_version_id", version, unique=False)

    def _list_versions(self, query, body, key):
        self._found(self.pipelines, key)
        its = [each for each in self.versions.values() if each["pipeline_id"] == key]
        return self._page(its, query, "pipeline_versions", whose=False)

    def _new_run(self, query, body):
        check_model(body, "V2beta1Run")
        self._check_source(body)
        run = self._add(self.runs, "run_id", {**body, "state": "PENDING"}, unique=False)
        self._looks[run["run_id"]] = iter(self.states)
        return run

    def _list_runs(self, query, body):
        its = [run for run in self.runs.values() if run["experiment_id"] == query.pop("experiment_id", None)]
        return self._page(its, query, "runs")

    def _get_run(self, query, body, key):
        run = self._found(self.runs, key)
        run["state"] = next(self._looks[key], run["state"])
        names = {"tiny-abc12": 1, "root": 2, "root(0)": 3, "train": 4, "train(0)": 5, "executor": 6}
        nodes = [
            {
                "display_name": name,
                "state": run["state"],
                "task_id": f"node-{pod}",
                "child_tasks": [{"pod_name": f"tiny-abc12-{pod + 1}"}],
            }
            for name, pod in names.items()
        ]
        driver = {"display_name": "train-driver", "state": "SUCCEEDED", "task_id": "node-9"}
        return {**run, "run_details": {"task_details": [*nodes, driver]}}

    def _list_recurring(self, query, body):
        return self._page(self.recurring.values(), query, "recurringRuns")

    def _new_recurring(self, query, body):
        check_model(body, "V2beta1RecurringRun")
        check_recurring(body)
        self._check_source(body)
        return self._add(self.recurring, "recurring_run_id", body, unique=False)

    def _enable(self, query, body, key):
        self._found(self.recurring, key)["mode"] = "ENABLE"
        return {}

    def _disable(self, query, body, key):
        self._found(self.recurring, key)["mode"] = "DISABLE"
        return {}

    def _delete(self, query, body, key):
        demand(query == {"propagation_policy": "ORPHAN"}, "runs that are going on would be killed")
        self._found(self.recurring, key)
        del self.recurring[key]
        return {}

    def _check_source(self, body):
        """The pipeline that is sent or referred to, checked, and its parameters with it."""
        self._found(self.experiments, body["experiment_id"])
        if reference := body.get("pipeline_version_reference"):
            version = self._found(self.versions, reference["pipeline_version_id"])
            demand(version["pipeline_id"] == reference["pipeline_id"], "a version of another pipeline")
            documents = version["pipeline_spec"]
        else:
            documents = body["pipeline_spec"]
            check_pipeline(documents["pipeline_spec"], documents.get("platform_spec", {}))
        check_parameters(body.get("runtime_config", {}).get("parameters", {}), documents["pipeline_spec"])
        return {"platform_spec": {}, **documents}

    def _add(self, store, key, given, *, unique=True):
        name = given["display_name"]
        for field, text in given.items():
            if field in ("display_name", "description"):
                self._hold_to_column(key, field, text)
        if unique and name.casefold() in [each["display_name"].casefold() for each in store.values()]:
            raise Refusal(409, f"Already exist error: Failed to create. The name {name} already exists")
        made = f"{key}-{next(self._numbers)}"
        store[made] = {**given, key: made, "created_at": datetime.now(UTC).isoformat()}
        return store[made]

    def _hold_to_column(self, key, field, text):
        """The real one starts a run before its database refuses a name, and then has it in no list."""
        kind = key.removesuffix("_id")
        if field == "display_name" and len(text) > CHECKED.get(kind, len(text)):
            problem = f"Invalid input error: Name length cannot exceed {CHECKED[kind]}"
            raise Refusal(500, f"InternalServerError: Failed to convert: {problem}")
        if len(text) > 255 or max(text, default="") > "\uffff":
            raise Refusal(500, f"InternalServerError: Error 1406 (22001): Data too long for column {field!r} at row 1")

    def _found(self, store, key):
        if key not in store:
            raise Refusal(404, f"{key} not found")
        return store[key]

    def _page(self, entries, query, field, *, whose=True):
        known = {"page_token", "page_size", "filter", *(["namespace"] if whose else [])}
        demand(set(query) <= known, f"unknown in the query: {query}")
        demand(not whose or bool(query.get("namespace")) is self.multi_user, "a namespace is for several users")
        name, begin = filtered_name(query), int(query.get("page_token") or 0)
        chosen = [each for each in entries if name is None or each["display_name"].casefold() == name.casefold()]
        rest = {"next_page_token": str(begin + PAGE)} if len(chosen) > begin + PAGE else {}
        return {field: chosen[begin : begin + PAGE], "total_size": len(chosen), **rest}

    def note(self):
        """Remember how many recurring runs of one name were ever enabled at a time."""
        on = [each["display_name"] for each in self.recurring.values() if each.get("mode") == "ENABLE"]
        self.most_enabled = max(self.most_enabled, *(on.count(name) for name in on), 0)


@contextlib.contextmanager
def kubeflow(**given):
    """Run a fake, and yield it with its ``url``; it ends with the block."""
    fake = KubeflowFake(**given)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: KubeflowFake
    protocol_version = "HTTP/1.1"

    def handle_request(self):
        url = urlsplit(self.path)
        if found := re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", url.path):
            known = not self.fake.token or self.headers.get("Authorization") == f"Bearer {self.fake.token}"
            log = self.fake.logs.get(found[1]) if known else None
            self._send(200 if log else 500 if known else 401, log or {"error": "no such pod"})
            return
        line = f"{self.command} {url.path.removeprefix(API)}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            demand(url.path.startswith(API), "not the API")
            answer = self.fake.answer(line, dict(parse_qsl(url.query)), self._content(body), self.headers)
            self._send(200, answer)
        except Refusal as refusal:
            self._send(refusal.code, {"code": refusal.code, "message": str(refusal)} if str(refusal) else {})
        except BadRequest as error:
            self._send(400, {"code": 3, "message": str(error)})
        self.fake.note()

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815

    def _content(self, body):
        """JSON as an object, an uploaded file as its text."""
        kind = self.headers.get("Content-Type", "")
        if not body:
            return None
        if kind.startswith("multipart/form-data"):
            (part,) = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).get_payload()
            demand(part.get_param("name", header="Content-Disposition") == "uploadfile", "no uploadfile")
            return part.get_payload(decode=True).decode()
        demand(kind == "application/json", f"{kind!r} is no JSON")
        return json.loads(body)

    def _send(self, code, answer):
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        """Nothing: what was asked is in ``requests``."""
