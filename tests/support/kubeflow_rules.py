"""Kubeflow rules: what the fake of Kubeflow Pipelines holds every request to, and how it refuses.

Bodies must be what ``kfp_server_api`` models say, pipelines what their protobufs say: a field too much, or of another
type, is an error. The rest are the rules that the real server has for parameters, recurring runs and filters; it says
them in the words that were recorded of one.
"""

import contextlib
import json
import re
from urllib.parse import unquote_plus

import kfp_server_api as api
from dateutil.parser import isoparse
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from bodyposenet.common.kubeflow.yaml_text import load_documents

PLAIN = {"str": str, "bool": bool, "int": int}
FITS = {  # by the type: whether a value is of it, and the words for it
    "STRING": (lambda value: isinstance(value, str), "string"),
    "NUMBER_INTEGER": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "number"),
    "NUMBER_DOUBLE": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "number"),
    "BOOLEAN": (lambda value: isinstance(value, bool), "bool"),
    "LIST": (lambda value: isinstance(value, list), "list"),
    "STRUCT": (lambda value: isinstance(value, dict), "struct"),
}
CRON_FIELD = re.compile(r"[\w*?,/-]+")  # the real one reads them; five fields are as good to it as six
LIMITS = range(1, 11)
INTERNAL = "InternalServerError: "
SORTS = {400: "Invalid input error: ", 404: "ResourceNotFoundError: ", 409: "Already exist error: ", 500: INTERNAL}
GRPC = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}


class Refusal(Exception):  # noqa: N818
    """An answer with a code of 400 or more.

    Args:
        code: Of HTTP.
        text: What is wrong. The message says of what sort that is, and what the server was about.
        sort: The words for that, where they are others than the code's.
    """

    def __init__(self, code, text, sort=None):
        super().__init__(text)
        self.code, self.text = code, text
        self.message = (SORTS.get(code, "") if sort is None else sort) + text

    def body(self):
        """Tell it as JSON; where the server itself is at fault, the details say no more than that."""
        code, text = GRPC.get(self.code, 2), "Internal Server Error" if self.code == 500 else self.text
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}]
        return {"code": code, "message": self.message, "details": details}


@contextlib.contextmanager
def telling(about, code=None):
    """Say what the server was about when something is refused in this block; a code makes it that sort of answer."""
    try:
        yield
    except Refusal as refusal:
        refusal.code, refusal.message = code or refusal.code, about + refusal.message
        raise


def demand(holds, problem):
    """Refuse what is no good request: the rules of this fake, which are stricter than the real server's."""
    if not holds:
        raise Refusal(400, problem)


def check_model(data, kind, place="body"):
    """Hold JSON to a type of ``kfp_server_api``, by its name there."""
    if kind == "object":
        return
    if found := re.fullmatch(r"(list\[|dict\(str, )(.*)[\])]", kind):
        demand(isinstance(data, list if kind.startswith("list") else dict), f"{place}: no {kind}")
        for key, each in enumerate(data) if isinstance(data, list) else data.items():
            check_model(each, found[2], f"{place}.{key}")
    elif kind == "datetime":
        demand(isoparse(data).tzinfo is not None, f"{place}: a time without zone")
    elif kind in PLAIN:
        demand(type(data) is PLAIN[kind], f"{place}: {data!r} is no {kind}")
    else:
        _check_fields(data, getattr(api, kind), place)


def _check_fields(data, model, place):
    if hasattr(model, "allowable_values"):
        demand(data in model.allowable_values, f"{place}: {data!r} is none of {model.allowable_values}")
        return
    demand(isinstance(data, dict), f"{place}: no {model.__name__}")
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for key, value in data.items():
        demand(key in kinds, f"{place}: {model.__name__} has no field {key}")
        check_model(value, kinds[key], f"{place}.{key}")


def check_pipeline(spec, platform):
    """Hold both documents of a pipeline to their protobufs, executors' Kubernetes settings too."""
    try:
        parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        deployment = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        for executor in deployment.get("executors", {}).values():
            json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    except json_format.ParseError as error:
        raise Refusal(400, f"pipeline spec: {error}") from error
    demand(parsed.pipeline_info.name, "pipeline spec: no name")


def documents_of(text):
    """The two documents of an uploaded file, checked."""
    spec, platform = (*load_documents(text), {})[:2]
    check_pipeline(spec, platform)
    return {"pipeline_spec": spec, "platform_spec": platform}


def check_parameters(given, spec):
    """No parameter that the pipeline does not know, none missing, each of its type."""
    known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, each in known.items():
        there = each.get("isOptional") or "defaultValue" in each or name in given
        demand(there, f"parameter {name} is not optional, yet has neither default value nor user provided value")
        fits, words = FITS[each["parameterType"]]
        wanted = "double or integer" if words == "number" else words
        problem = f"requires type {wanted}, but the parameter value is not of {words} value type"
        demand(name not in given or fits(given[name]), f"input parameter {name} {problem}")
    strange = sorted(given.keys() - known.keys())
    demand(not strange, f"parameter(s) provided are not required by pipeline: {', '.join(strange)}")


def check_recurring(recurring):
    """One trigger that can be read, and a concurrency within its limits."""
    trigger = recurring.get("trigger", {})
    demand(len(trigger) == 1, "exactly one of cron_schedule and periodic_schedule")
    most = int(recurring.get("max_concurrency", 0))
    demand(
        most in LIMITS,
        f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {most}",
    )
    if cron := trigger.get("cron_schedule"):
        fields = cron["cron"].split()
        good = cron["cron"].startswith("@") or (5 <= len(fields) <= 6 and all(map(CRON_FIELD.fullmatch, fields)))
        library = "https://godoc.org/github.com/robfig/cron"
        problem = f"Expected 5 to 6 fields, found {len(fields)}: {cron['cron']}"
        demand(good, f"Schedule cron is not a supported format({library}). Error: {problem}")
    else:
        demand(int(trigger["periodic_schedule"]["interval_second"]) > 0, "interval must be positive")


def read_name(query):
    """Give the display name that a list is asked for, if it is; no other filter is known here.

    The filter is unquoted a second time, after the query has been: a ``+`` is a blank then, and a ``%`` must be an
    escape.
    """
    if "filter" not in query:
        return None
    text = query["filter"]
    if wrong := re.search("%(?![0-9A-Fa-f]{2}).{0,2}", text):
        escape = f"invalid URL escape {_quote(wrong[0])}"
        with telling("Failed to create list options: "):
            raise Refusal(400, f"failed to parse valid filter from {_quote(text)}: {escape}")
    (predicate,) = json.loads(unquote_plus(text))["predicates"]
    demand((predicate["operation"], predicate["key"]) == (1, "display_name"), f"filter: {predicate}")
    return predicate["stringValue"]


def _quote(text):
    """Quote a text as the server's language does."""
    return json.dumps(text, ensure_ascii=False)
