"""Kubeflow fake: NOT Kubeflow. An HTTP server on loopback that answers as its API server does, with all in memory.

It knows the calls that this project makes and few others, and writes all of them down. ``kubeflow_store`` is what it
keeps, ``kubeflow_nodes`` a run's list of tasks, ``kubeflow_rules`` what it refuses; ``test_recorded_calls`` holds it to
a real one's answers. It starts no pods and keeps no clock: :meth:`KubeflowFake.execute` does what it was sent under
``kfp.local``.
"""

import contextlib
import json
import re
import threading
from dataclasses import dataclass
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import yaml
from kfp import components, local
from support.kubeflow_rules import Refusal, check_model, demand
from support.kubeflow_store import Store
from support.local_run import without_words_of_kfp

API = "/apis/v2beta1"
LOGS = re.compile(r"/apis/v1alpha1/runs/(?P<run>[^/]+)/nodes/(?P<pod>[^/]+)/log")
ROUTES = {  # what is asked, which method answers, and the type of the answer
    "GET /healthz": ("tell_health", "object"),  # the client knows half of its fields
    "GET /experiments": ("list_experiments", "V2beta1ListExperimentsResponse"),
    "POST /experiments": ("add_experiment", "V2beta1Experiment"),
    "POST /experiments/(?P<key>[^/:]+):archive": ("archive_experiment", "object"),
    "GET /pipelines": ("list_pipelines", "V2beta1ListPipelinesResponse"),
    "POST /pipelines": ("add_pipeline", "V2beta1Pipeline"),
    "GET /pipelines/(?P<key>[^/:]+)": ("tell_pipeline", "V2beta1Pipeline"),
    "POST /pipelines/upload_version": ("add_version", "V2beta1PipelineVersion"),
    "GET /pipelines/(?P<key>[^/]+)/versions": ("list_versions", "V2beta1ListPipelineVersionsResponse"),
    "POST /runs": ("add_run", "V2beta1Run"),
    "GET /runs": ("list_runs", "V2beta1ListRunsResponse"),
    "GET /runs/(?P<key>[^/:]+)": ("tell_run", "V2beta1Run"),
    "POST /runs/(?P<key>[^/:]+):terminate": ("end_run", "object"),
    "GET /recurringruns": ("list_recurring", "V2beta1ListRecurringRunsResponse"),
    "POST /recurringruns": ("add_recurring", "V2beta1RecurringRun"),
    "POST /recurringruns/(?P<key>[^/:]+):enable": ("enable", "object"),
    "POST /recurringruns/(?P<key>[^/:]+):disable": ("disable", "object"),
    "DELETE /recurringruns/(?P<key>[^/:]+)": ("delete", "object"),
}


@dataclass
class Fault:
    """What is to go wrong with the next request whose line matches.

    Attributes:
        request: Its line, such as ``POST /recurringruns``.
        code: It is answered with this; with 0, the connection is closed instead.
        done: It is done all the same, before that.
        stored: What is done is stored, too.
        after: It is done only once so many other requests were answered.
        skip: So many requests go well before.
    """

    request: str
    code: int = 503
    done: bool = False
    stored: bool = True
    after: int = 0
    skip: int = 0


class KubeflowFake(Store):
    """What the server knows, and what it was asked.

    Args:
        token: Whoever does not bring this is refused.
        given: What ``Store`` takes.
    """

    def __init__(self, *, token=None, **given):
        super().__init__(**given)
        self.token = token
        self.requests, self.faults, self.most_enabled = [], [], 0
        self._turn, self._answers, self._late = threading.Condition(), 0, []

    @property
    def changes(self):
        """The requests that changed something, or tried to."""
        return [request for request in self.requests if not request.startswith("GET")]

    def fail(self, request, code=503, times=1, **given):
        """Let the next requests whose line matches go wrong: see ``Fault``."""
        self.faults += [Fault(request, code, **given)] * times

    def answer(self, line, query, body, headers):
        """Answer a request, with JSON unless it is bytes; None closes the connection."""
        with self._turn:
            self.requests.append(line)
            self.check_token(headers)
            fault = next((each for each in self.faults if re.fullmatch(each.request, line)), None)
            if fault is None or fault.skip:
                if fault:
                    fault.skip -= 1
                self._turn.wait_for(lambda: all(self._answers < wanted for wanted in self._late))
                return self._act(line, query, body)
            self.faults.remove(fault)
            self._wait(fault.after)
            if fault.done:
                self.connected = fault.stored
                try:
                    self._act(line, query, body)
                finally:
                    self.connected = True
            if fault.code:
                raise Refusal(fault.code, "planted")
            return None

    def _wait(self, answers):
        """Wait until so many other requests were answered; those after them wait for what is done then."""
        wanted = self._answers + answers
        self._late.append(wanted)
        self._turn.wait_for(lambda: self._answers >= wanted)
        self._late.remove(wanted)
        self._turn.notify_all()

    def check_token(self, headers):
        """Refuse who does not bring it."""
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "no or wrong token")

    def _act(self, line, query, body):
        for route, (name, kind) in ROUTES.items():
            if found := re.fullmatch(route, line):
                answer = getattr(self, name)(query, body, **found.groupdict())
                check_model(answer, kind, "answer")
                self._count_enabled()
                self._answers += 1
                self._turn.notify_all()
                return answer
        raise Refusal(404, "", "")

    def execute(self, asked, folder):
        """Do what a run, or a recurring run, asks for, in this process; returns the pipeline's outputs."""
        documents = self.check_source(asked)
        file = folder / "executed.yaml"
        file.write_text(yaml.safe_dump_all([documents[key] for key in ("pipeline_spec", "platform_spec")]))
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True)
        with without_words_of_kfp():
            done = components.load_component_from_file(str(file))(**asked["runtime_config"]["parameters"])
        return done.outputs

    def _count_enabled(self):
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
    wbufsize = -1  # head and body go together: alone, the one waits for the other's acknowledgement

    def handle_request(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if found := LOGS.fullmatch(url.path):
                self._send_log(found["pod"])
                return
            demand(url.path.startswith(API), "not the API")
            line = f"{self.command} {url.path.removeprefix(API)}"
            answer = self.fake.answer(line, dict(parse_qsl(url.query)), self._read_content(body), self.headers)
        except Refusal as refusal:
            self._send(refusal.code, refusal.body() if refusal.message else {})
            return
        if answer is None:
            self.close_connection = True
        else:
            self._send(200, answer)

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815

    def _send_log(self, pod):
        self.fake.check_token(self.headers)
        if pod not in self.fake.logs:
            raise Refusal(500, f"no log of {pod}")
        self._send(200, self.fake.logs[pod])

    def _read_content(self, body):
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
        self.send_header("Content-Type", "text/plain; charset=utf-8" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked may have gone away
            self.wfile.write(text)
            self.wfile.flush()

    def log_message(self, *args):
        """Nothing: what was asked is in ``requests``."""
