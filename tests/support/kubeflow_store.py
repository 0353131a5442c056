"""Kubeflow store: what the fake of Kubeflow Pipelines keeps, and what it does to that when it is asked.

What a real one does in an order that matters is done in that order: a run's workflow is started before its row is
stored, so what the columns refuse has been started all the same.
"""

import random
import uuid
from datetime import UTC, datetime

from support.kubeflow_nodes import draw_workflow, list_logs, list_tasks, tell_time
from support.kubeflow_rules import (
    INTERNAL,
    Refusal,
    check_model,
    check_parameters,
    check_pipeline,
    check_recurring,
    demand,
    documents_of,
    read_name,
    telling,
)

PAGE = 2  # entries of a list, whatever is asked for: so that every client must turn pages
WIDTH, LAST = 255, "\uffff"  # of the columns that are not checked before: characters, and the last that utf8 has
NEVER = "1970-01-01T00:00:00Z"
DATABASE, KUBERNETES = "database", "kubernetes"  # where pipelines are kept


class Store:
    """Experiments, pipelines, runs and recurring runs, by their ids.

    Args:
        multi_user: It has a namespace for each user, and wants to be told one.
        states: That a run is told in, one after the other, by those who ask for it.
        story: Answers to ``GET /runs/ID`` that were recorded, in the place of states.

    Attributes:
        pipeline_store: Where pipelines are kept; in Kubernetes-native mode those of the database are not seen.
        workflows: Name of every workflow that was started, whether its run was stored or not.
        scheduled: Name of each recurring run's ScheduledWorkflow, by its id.
        gone: Names of those ScheduledWorkflows that somebody has deleted.
        keeps_logs: Logs of failed tasks are to be had.
        connected: Its database can be written to.
    """

    def __init__(self, *, multi_user=False, states=("PENDING", "RUNNING", "SUCCEEDED"), story=()):
        self.multi_user, self.states, self.story = multi_user, states, story
        self.pipeline_store, self.keeps_logs, self.connected = DATABASE, True, True
        self.experiments, self.runs, self.recurring, self.workflows, self.scheduled = {}, {}, {}, [], {}
        self.logs, self.gone = {}, set()
        self._stores = {name: ({}, {}) for name in (DATABASE, KUBERNETES)}
        self._looks, self._workflow_of = {}, {}

    @property
    def pipelines(self):
        """Those of the store in use, by their ids."""
        return self._stores[self.pipeline_store][0]

    @property
    def versions(self):
        """Those of the store in use, by their ids."""
        return self._stores[self.pipeline_store][1]

    def tell_health(self, query, body):
        """Say what server this is."""
        return {
            "commit_sha": "unknown",
            "tag_name": "unknown",
            "multi_user": self.multi_user,
            "pipeline_store": self.pipeline_store,
        }

    def list_experiments(self, query, body):
        """List them, those in the archive, too."""
        return self._page(self.experiments.values(), query, "experiments")

    def add_experiment(self, query, body):
        """Make one."""
        check_model(body, "V2beta1Experiment")
        name = body["display_name"]
        with telling("[ExperimentServer]: Failed to create a experiment due to conversion error: "):
            check_length("Experiment", "experiment", name, 128)
        with telling("Failed to create a experiment: "):
            taken = f"Failed to create a new experiment. The name {name} already exists. Please specify a new name"
            check_free(self.experiments, name, taken)
            with telling(f"{INTERNAL}Failed to add experiment to experiment table: ", 500):
                self._check_columns({"Name": name}, "experiments", times=2)
        made = {"storage_state": "AVAILABLE", "last_run_created_at": NEVER}
        return keep(self.experiments, "experiment_id", {**body, **made})

    def archive_experiment(self, query, body, key):
        """Put one into the archive, where it is found and takes runs as before."""
        find(self.experiments, key, "Experiment")["storage_state"] = "ARCHIVED"
        return {}

    def find_default(self):
        """Give the experiment of runs that name none; a real server makes it when it is first started."""
        names = {each["display_name"]: each for each in self.experiments.values()}
        return names.get("Default") or self.add_experiment({}, {"display_name": "Default"})

    def list_pipelines(self, query, body):
        """List those of the store in use."""
        return self._page(self.pipelines.values(), query, "pipelines")

    def tell_pipeline(self, query, body, key):
        """Tell one."""
        return find(self.pipelines, key, "Pipeline")

    def add_pipeline(self, query, body):
        """Make one without versions."""
        check_model(body, "V2beta1Pipeline")
        name = body["display_name"]
        with telling("Failed to create a pipeline as pipeline conversion failed: "):
            check_length("Pipeline", "pipeline", name, 128)
        with telling("Failed to create a pipeline due to server error: Failed to create a pipeline in PipelineStore: "):
            taken = f"Failed to create a new pipeline. The name {name} already exist. Please specify a new name"
            check_free(self.pipelines, name, taken)
            self._check_columns({"Name": name}, "pipelines")
        native = {"namespace": "kubeflow"} if self.pipeline_store == KUBERNETES else {}
        return keep(self.pipelines, "pipeline_id", {**body, "name": name, **native})

    def add_version(self, query, body):
        """Keep an uploaded file as a version of a pipeline."""
        demand(set(query) <= {"name", "pipelineid", "description"}, f"unknown in the query: {query}")
        name, pipeline = query["name"], find(self.pipelines, query["pipelineid"], "Pipeline")["pipeline_id"]
        same = {key: each for key, each in self.versions.items() if each["pipeline_id"] == pipeline}
        with telling("Failed to create a pipeline version: "):
            check_length("PipelineVersion", "pipeline version", name, 127)
            check_free(same, name, f"Failed to create a new pipeline version. The name {name} already exist.")
            self._check_columns({"Name": name}, "pipeline_versions")
        made = {"pipeline_id": pipeline, "display_name": name, "name": name, "pipeline_spec": documents_of(body)}
        return keep(self.versions, "pipeline_version_id", made)

    def list_versions(self, query, body, key):
        """List those of a pipeline."""
        find(self.pipelines, key, "Pipeline")
        its = [each for each in self.versions.values() if each["pipeline_id"] == key]
        return self._page(its, query, "pipeline_versions", whose=False)

    def add_run(self, query, body):
        """Start a run, and store it then."""
        check_model(body, "V2beta1Run")
        with telling("Failed to create a new run: "):
            documents = self.check_source(body)
            workflow = self._start_workflow(documents["pipeline_spec"]["pipelineInfo"]["name"])
            with telling(
                f"Failed to create a run: {INTERNAL}Failed to store run {body['display_name']} to table: ", 500
            ):
                names = {"DisplayName": body["display_name"], "Description": body.get("description", "")}
                self._check_columns(names, "run_details")
        return self._keep_run(body, documents, workflow)

    def run_by_clock(self, recurring_id):
        """Start the next run of a recurring run, as the controller does; returns it."""
        recurring = self.recurring[recurring_id]
        documents = self.check_source(recurring)
        workflow = self._start_workflow(self.scheduled[recurring_id])
        kept = ("experiment_id", "pipeline_version_reference", "runtime_config")
        given = {name: recurring[name] for name in kept if name in recurring}
        return self._keep_run(
            {**given, "display_name": workflow, "recurring_run_id": recurring_id}, documents, workflow
        )

    def list_runs(self, query, body):
        """List those of an experiment, or all; the oldest first, unless the newest are to be."""
        experiment, order = query.pop("experiment_id", None), query.pop("sort_by", "")
        demand(order in ("", "created_at desc"), f"sorted by {order}")
        its = [run for run in self.runs.values() if experiment in (None, run["experiment_id"])]
        return self._page(its[::-1] if order else its, query, "runs")

    def tell_run(self, query, body, key):
        """Tell a run, and what has become of it since the last time."""
        with telling("Failed to get a run: "), telling(f"Failed to fetch run {key}: "):
            run = find(self.runs, key, "Run")
        if self.story:
            told = next(self._looks[key], None) or self.story[-1]
            return {**run, **{name: told[name] for name in ("state", "state_history", "run_details") if name in told}}
        self._change_state(run, next(self._looks[key], run["state"]))
        workflow, documents = self._workflow_of[key]
        nodes = draw_workflow(workflow, documents["pipeline_spec"], run["state"])
        if self.keeps_logs:
            self.logs |= list_logs(workflow, nodes)
        tasks = list_tasks(workflow, nodes, datetime.fromisoformat(run["created_at"]))
        return {**run, **({"run_details": {"task_details": tasks}} if tasks else {})}

    def end_run(self, query, body, key):
        """Begin to end a run; it has failed then."""
        run = find(self.runs, key, "Run")
        self._change_state(run, "CANCELING")
        self.continue_run(key, "CANCELING", "FAILED")
        return {}

    def continue_run(self, run_id, *states):
        """Let a run be told in these states from now on."""
        self._looks[run_id] = iter(states)

    def list_recurring(self, query, body):
        """List all of them."""
        return self._page(self.recurring.values(), query, "recurringRuns")

    def add_recurring(self, query, body):
        """Make a ScheduledWorkflow, and store the recurring run then."""
        check_model(body, "V2beta1RecurringRun")
        with telling("Failed to create a recurring run due to conversion error: "):
            check_recurring(body)
        with telling("Failed to create a recurring run: "):
            self.check_source(body)
            scheduled = self._start_workflow(body["display_name"], "")
            with telling(f"{INTERNAL}Failed to store job {body['display_name']} to table: ", 500):
                names = {"DisplayName": body["display_name"], "Description": body.get("description", "")}
                self._check_columns(names, "jobs")
        namespace = self.experiments[body["experiment_id"]].get("namespace", "kubeflow")
        made = {"service_account": "pipeline-runner", "status": f"{body['mode']}D", "namespace": namespace}
        given = drop_empty_config(body)
        recurring = keep(self.recurring, "recurring_run_id", {**given, **made, "updated_at": tell_now()})
        self.scheduled[recurring["recurring_run_id"]] = scheduled
        return recurring

    def enable(self, query, body, key):
        """Let a recurring run run."""
        with telling("Failed to enable a recurring run: "):
            about = f"Failed to enable recurring run {key}. Check if the scheduled workflow exists: "
            return self._switch(key, "ENABLE", about)

    def disable(self, query, body, key):
        """Let a recurring run run no more."""
        with telling("Failed to disable a recurring run: "):
            return self._switch(key, "DISABLE", f"Failed to change recurring run's {key} mode to enable:false: ")

    def delete(self, query, body, key):
        """Delete a recurring run, whether its ScheduledWorkflow is there or not."""
        demand(query == {"propagation_policy": "ORPHAN"}, "runs that are going on would be killed")
        about = f"Failed to delete recurring run {key}. Check if exists: "
        with telling("Failed to delete a recurring run: "), telling(about):
            find(self.recurring, key, "Job")
        del self.recurring[key]
        return {}

    def check_source(self, body):
        """Check the pipeline that is sent or referred to, and the parameters with it; returns its documents."""
        if experiment := body.get("experiment_id"):
            about = "Failed to create a run due to invalid experimentId and namespace combination: "
            fetching = (f"Failed to fetch namespace {word} experiment {experiment}: " for word in ("for", "from"))
            with telling(about), telling(next(fetching)), telling(next(fetching)):
                find(self.experiments, experiment, "Experiment")
        with telling(f"{INTERNAL}Failed to create a run due to error fetching manifest: ", 500):
            documents = self._fetch_manifest(body)
        with telling("Failed to generate the ExecutionSpec: invalid pipeline job inputs: "):
            check_parameters(body.get("runtime_config", {}).get("parameters", {}), documents["pipeline_spec"])
        return {"platform_spec": {}, **documents}

    def _fetch_manifest(self, body):
        if reference := body.get("pipeline_version_reference"):
            return self._find_version(reference)["pipeline_spec"]
        if "pipeline_spec" not in body:
            raise Refusal(400, "Failed to fetch a template with an empty pipeline spec manifest")
        documents = body["pipeline_spec"]
        if "pipeline_spec" not in documents:
            with telling("Failed to fetch a template with an invalid pipeline spec manifest: "):
                raise Refusal(500, "unknown template format: pipeline spec is invalid", "InvalidInputError: ")
        check_pipeline(documents["pipeline_spec"], documents.get("platform_spec", {}))
        return documents

    def _find_version(self, reference):
        version = reference["pipeline_version_id"]
        with (
            telling("Failed to fetch a template due to error retrieving pipeline version: "),
            telling(f"Failed to fetch a pipeline version and its manifest from pipeline version {version}: "),
            telling(f"Failed to get a pipeline version with id {version}: "),
        ):
            found = find(self.versions, version, "PipelineVersion")
        demand(found["pipeline_id"] == reference["pipeline_id"], "a version of another pipeline")
        return found

    def _start_workflow(self, name, dash="-"):
        workflow = name + dash + "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        self.workflows.append(workflow)
        return workflow

    def _keep_run(self, given, documents, workflow):
        now = tell_now()
        experiment = self.experiments[given["experiment_id"]] if given.get("experiment_id") else self.find_default()
        made = {
            "experiment_id": experiment["experiment_id"],
            "storage_state": "AVAILABLE",
            "service_account": "pipeline-runner",
            "scheduled_at": now,
            "finished_at": NEVER,
            "state": "PENDING",
            "state_history": [{"update_time": now, "state": "PENDING"}],
        }
        run = keep(self.runs, "run_id", {**drop_empty_config(given), **made})
        experiment["last_run_created_at"] = now
        self._workflow_of[run["run_id"]] = workflow, documents
        self._looks[run["run_id"]] = iter(self.story or self.states)
        return run

    def _change_state(self, run, state):
        if state != run["state"]:
            run["state"] = state
            run["state_history"].append({"update_time": tell_now(), "state": state})
            run["finished_at"] = NEVER if state in ("PENDING", "RUNNING", "CANCELING") else tell_now()

    def _switch(self, key, mode, about):
        recurring = find(self.recurring, key, "Job")
        if self.scheduled[key] in self.gone:
            raise Refusal(500, f'{about}scheduledworkflows.kubeflow.org "{self.scheduled[key]}" not found')
        recurring |= {"mode": mode, "status": f"{mode}D", "updated_at": tell_now()}
        return {}

    def _check_columns(self, texts, table, times=1):
        """Refuse what the database's columns cannot hold; ``times``: it says so that often."""
        for column, text in texts.items():
            problem = None if self.connected else "invalid connection"
            if len(text) > WIDTH:
                problem = f"Error 1406 (22001): Data too long for column '{column}' at row 1"
            elif strange := next((each for each in text if each > LAST), None):
                value = "".join(f"\\x{byte:02X}" for byte in strange.encode())
                where = f"column `mlpipeline`.`{table}`.`{column}` at row 1"
                problem = f"Error 1366 (22007): Incorrect string value: '{value}' for {where}"
            if problem:
                raise Refusal(500, ": ".join([problem] * times), "")

    def _page(self, entries, query, field, *, whose=True):
        known = {"page_token", "page_size", "filter", *(["namespace"] if whose else [])}
        demand(set(query) <= known, f"unknown in the query: {query}")
        demand(not whose or bool(query.get("namespace")) is self.multi_user, "a namespace is for several users")
        name, begin = read_name(query), int(query.get("page_token") or 0)
        chosen = [each for each in entries if name is None or each["display_name"].casefold() == name.casefold()]
        rest = {"next_page_token": str(begin + PAGE)} if len(chosen) > begin + PAGE else {}
        return {field: chosen[begin : begin + PAGE], "total_size": len(chosen), **rest} if chosen else {}


def check_length(kind, words, name, most):
    """Refuse a name that is longer than its kind may have: the server's own check, before anything is done."""
    with telling(f"{INTERNAL}Failed to convert API {words} to model {words}: ", 500):
        demand(len(name) <= most, f"{kind}.Name length cannot exceed {most}")


def check_free(rows, name, taken):
    """Refuse a name that another one has, or has in other capitals."""
    if name.casefold() in [each["display_name"].casefold() for each in rows.values()]:
        raise Refusal(409, taken)


def find(rows, key, kind):
    """Give the row of an id."""
    if key not in rows:
        raise Refusal(404, f"{kind} {key} not found")
    return rows[key]


def keep(rows, key, given):
    """Store a row under an id of its own, and return it."""
    made = str(uuid.uuid4())
    rows[made] = {**given, key: made, "created_at": tell_now()}
    return rows[made]


def drop_empty_config(body):
    """Leave out settings that hold no parameters: no answer has such."""
    empty = not body.get("runtime_config", {}).get("parameters")
    return {name: value for name, value in body.items() if name != "runtime_config" or not empty}


def tell_now():
    """Give the time as answers do."""
    return tell_time(datetime.now(UTC))
