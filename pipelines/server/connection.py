"""Connection: the API of Kubeflow Pipelines, asked page by page and with patience."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.pipelines.server.access import NAMESPACE, configure, read_address, read_header
from bodyposenet.pipelines.server.errors import COOKIES, tell_of_page, translate_refusal, translate_silence

PATIENCE = (5, 60)  # seconds: until a connection stands, and for an answer
PAGE = 100
# What runs in a pod: a part of its name
TEMPLATES = (
    "retry-system-container-impl",
    "system-container-impl",
    "retry-system-container-driver",
    "system-container-driver",
)


class Server:
    """A connection to the API.

    Args:
        host: Its address, such as ``http://localhost:8080`` or ``https://kubeflow.example.com/pipeline``.
        namespace: Of a Kubeflow with several users; one for a single user has none.

    Raises:
        UserError: There is no host, or it does not answer as Kubeflow Pipelines does.
    """

    def __init__(self, host: str | None, namespace: str | None = None) -> None:
        import kfp_server_api as api

        self.host = read_address(host)
        self._client = api.ApiClient(configure(self.host), cookie=read_header(COOKIES))
        self._experiments = api.ExperimentServiceApi(self._client)
        self._pipelines = api.PipelineServiceApi(self._client)
        self._uploads = api.PipelineUploadServiceApi(self._client)
        self._runs = api.RunServiceApi(self._client)
        self._schedules = api.RecurringRunServiceApi(self._client)
        health = self._call(api.HealthzServiceApi(self._client).healthz_service_get_healthz)
        if not any(value is not None for value in health.to_dict().values()):
            raise tell_of_page(self.host)
        several = health.multi_user
        if several and not namespace:
            raise UserError(
                "this Kubeflow has several users", where=self.host, fix=f"say whose: --namespace, or {NAMESPACE}"
            )
        self.namespace = namespace if several else None  # a server for one user refuses any

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made if need be."""
        import kfp_server_api as api

        found = self.find_experiment(name)
        if found:
            return found
        wanted = api.V2beta1Experiment(display_name=name, **self._in_namespace())
        return str(self._call(self._experiments.experiment_service_create_experiment, wanted).experiment_id)

    def find_experiment(self, name: str) -> str | None:
        """Return the id of an experiment, if there is one of this name."""
        found = self._find_by_name(self._experiments.experiment_service_list_experiments, "experiments", name)
        return found and str(found.experiment_id)

    def pipeline(self, name: str) -> str | None:
        """The id of a pipeline, if there is one of this name."""
        found = self._find_by_name(self._pipelines.pipeline_service_list_pipelines, "pipelines", name)
        return found and str(found.pipeline_id)

    def new_pipeline(self, name: str, description: str) -> str:
        """Make a pipeline without versions, and return its id."""
        import kfp_server_api as api

        made = api.V2beta1Pipeline(display_name=name, description=description, **self._in_namespace())
        return str(self._call(self._pipelines.pipeline_service_create_pipeline, made).pipeline_id)

    def version(self, pipeline: str, name: str) -> str | None:
        """The id of a pipeline's version, if there is one of this name."""
        request = self._pipelines.pipeline_service_list_pipeline_versions
        answer = self._call(request, pipeline, filter=_filter_by_name(name), page_size=PAGE)
        found = answer.pipeline_versions
        return str(found[0].pipeline_version_id) if found else None

    def new_version(self, pipeline: str, name: str, text: str) -> str:
        """Upload a version, and return its id."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            file.write_text(text, encoding="utf-8")
            request = self._uploads.upload_pipeline_version
            return str(self._call(request, str(file), name=name, pipelineid=pipeline).pipeline_version_id)

    def start(self, run: Any) -> str:
        """Start a run, and return its id."""
        return str(self._call(self._runs.run_service_create_run, run).run_id)

    def find_run(self, experiment: str, name: str, description: str) -> str | None:
        """Return the id of an experiment's run of this name and description, if there is one."""
        request = self._runs.run_service_list_runs
        runs = self._list(request, "runs", experiment_id=experiment, filter=_filter_by_name(name))
        return next((str(run.run_id) for run in runs if run.description == description), None)

    def run(self, run_id: str) -> Any:
        """A run as it stands now.

        Raises:
            MissingError: There is none of this id.
        """
        return self._call(self._runs.run_service_get_run, run_id)

    def list_runs(self, *, experiment: str | None = None, name: str | None = None) -> Iterator[Any]:
        """List runs, the newest first.

        Args:
            experiment: Id of the one that they are filed in; None lists those of all.
            name: That they have; None lists all.
        """
        given = {"experiment_id": experiment} if experiment else {}
        given |= {"filter": _filter_by_name(name)} if name is not None else {}
        return self._list(self._runs.run_service_list_runs, "runs", sort_by="created_at desc", **given)

    def stop(self, run_id: str) -> None:
        """Begin to end a run."""
        self._call(self._runs.run_service_terminate_run, run_id)

    def schedules(self) -> list[Any]:
        """All recurring runs."""
        return list(self._list(self._schedules.recurring_run_service_list_recurring_runs, "recurring_runs"))

    def new_schedule(self, recurring: Any) -> str:
        """Make a recurring run, and return its id."""
        made = self._call(self._schedules.recurring_run_service_create_recurring_run, recurring)
        return str(made.recurring_run_id)

    def switch(self, recurring_id: str, on: bool) -> None:
        """Enable or disable a recurring run.

        Raises:
            GoneError: It has no ScheduledWorkflow any more.
        """
        to = "enable" if on else "disable"
        self._call(getattr(self._schedules, f"recurring_run_service_{to}_recurring_run"), recurring_id)

    def delete_schedule(self, recurring_id: str) -> None:
        """Delete a recurring run, but not the runs that it has started: without this policy they would be killed."""
        request = self._schedules.recurring_run_service_delete_recurring_run
        self._call(request, recurring_id, propagation_policy="ORPHAN")

    def log(self, run_id: str, node: str) -> str:
        """Return the log of a pod; nothing where the server has none.

        Args:
            run_id: Its run.
            node: Its node in the list of tasks, which has not the template that is part of the pod's name.
        """
        from urllib3.exceptions import HTTPError

        workflow, _, number = node.rpartition("-")
        for template in TEMPLATES:
            address = f"{self.host}/apis/v1alpha1/runs/{run_id}/nodes/{workflow}-{template}-{number}/log"
            with contextlib.suppress(HTTPError):
                pool = self._client.rest_client.pool_manager
                answer = pool.request("GET", address, headers=self._headers(), timeout=PATIENCE[1], retries=False)
                if answer.status == 200:
                    return str(answer.data.decode(errors="replace"))
        return ""

    def _headers(self) -> dict[str, str]:
        """Those by which every request is let in."""
        headers = dict(self._client.default_headers)
        if self._client.cookie:
            headers["Cookie"] = self._client.cookie
        self._client.update_params_for_auth(headers, [], ["Bearer"])
        return headers

    def page(self, run_id: str) -> str:
        """Where a browser shows a run."""
        return f"{self.host}/#/runs/details/{run_id}"

    def _in_namespace(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}

    def _find_by_name(self, request: Callable[..., Any], field: str, name: str) -> Any:
        return next(self._list(request, field, filter=_filter_by_name(name)), None)

    def _list(self, request: Callable[..., Any], field: str, **given: Any) -> Iterator[Any]:
        """Everything of a list, page after page."""
        token = ""
        while True:
            answer = self._call(request, page_size=PAGE, page_token=token, **self._in_namespace(), **given)
            yield from getattr(answer, field) or ()
            token = answer.next_page_token or ""
            if not token:
                return

    def _call(self, request: Callable[..., Any], *args: Any, **given: Any) -> Any:
        import kfp_server_api as api
        from urllib3.exceptions import HTTPError

        try:
            answer = request(*args, **given, _request_timeout=PATIENCE)
        except api.ApiException as error:
            raise translate_refusal(error, self.host) from None
        except HTTPError as error:
            raise translate_silence(error, self.host) from None
        except api.OpenApiException:
            raise  # what was asked is no request: our mistake
        except MALFORMED:
            raise tell_of_page(self.host) from None
        if answer is None or "json" not in (self._client.last_response.getheader("content-type") or ""):
            raise tell_of_page(self.host)
        return answer


def _filter_by_name(name: str) -> str:
    """Kubeflow's filter for one name, quoted once more than other values: the server unquotes it twice."""
    return quote(json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]}), safe="")
