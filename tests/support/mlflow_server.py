"""A real MLflow server on this machine: a database in a folder, and artifacts that only it reads and writes."""

import http.client
import http.server
import json
import os
import shlex
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

from support.documents import SHELL, blocks_of
from support.local_server import free_port, running


@contextmanager
def serving(folder, *command, path="/health", env=None, python=sys.executable):
    """Run ``python -m mlflow <command>`` on a free port until the block ends; gives the address."""
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    settings["PATH"] = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"  # where uvicorn is
    words = [str(python), "-m", "mlflow", *command, *where]
    with at_work(folder, words, f"http://127.0.0.1:{port}", path, settings | (env or {})) as address:
        yield address


@contextmanager
def at_work(folder, words, address, path, env):
    """Run a server in a folder from its first answer until the block ends; gives the address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with running(words, address + path, folder, kept | env):
        yield address


def tracking_server(folder, python=sys.executable):
    """A tracking server, started as docs/tracking.md says, in a folder; its artifacts go through it."""
    (line,) = (block.text for block in blocks_of("docs/tracking.md", SHELL) if block.text.startswith("mlflow server"))
    _, *words = shlex.split(line.replace("/srv", str(folder)))
    return serving(folder, *words, python=python)


class Relay(http.server.BaseHTTPRequestHandler):
    """Hands requests on to a server, apart from those that it answers itself."""

    behind = ""

    def answer(self):
        """What to answer in the server's place, ``(status, type, content)``; None hands the request on."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, kind, content = self.answer() or self.hand_on(body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def hand_on(self, body):
        wanted = {name: self.headers[name] for name in ("Content-Type",) if self.headers[name]}
        with closing(http.client.HTTPConnection(self.behind, timeout=60)) as there:
            there.request(self.command, self.path, body, wanted)
            answer = there.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()

    def log_message(self, *args):
        pass


class MLflow2(Relay):
    """A server of MLflow 3 as one of MLflow 2: it has no logged models."""

    def answer(self):
        return (404, *NO_SUCH_PLACE) if LOGGED_MODELS in self.path else None


LOGGED_MODELS = "/api/2.0/mlflow/logged-models"
# What MLflow 2.16.2 answers there; make test-served holds it to that
NO_SUCH_PLACE = (
    "text/html; charset=utf-8",
    b"""<!doctype html>
<html lang=en>
<title>404 Not Found</title>
<h1>Not Found</h1>
<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling and try \
again.</p>
""",
)


@contextmanager
def relaying(kind, url):
    """A relay of a kind before a server, until the block ends; gives its address."""
    handler = type("Handler", (kind,), {"behind": url.removeprefix("http://")})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{relay.server_port}"
        relay.shutdown()


class RefusedError(Exception):
    """The server's answer is not 200."""


def ask(url, body):
    """What a served model answers.

    Raises:
        RefusedError: It does not like the question.
    """
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)) as there:
        there.request("POST", "/invocations", json.dumps(body), {"Content-Type": "application/json"})
        answer = there.getresponse()
        content = answer.read().decode()
    if answer.status != 200:
        raise RefusedError(f"{answer.status}: {content}")
    return json.loads(content)["predictions"]
