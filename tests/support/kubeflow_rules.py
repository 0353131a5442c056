"""Kubeflow rules: what the fake of Kubeflow Pipelines holds every request to.

Bodies must be what ``kfp_server_api`` models say, pipelines what their protobufs say: a field too much, or of another
type, is an error. The rest are the rules that the real server's source has for parameters and recurring runs.
"""

import json
import re
from urllib.parse import unquote_plus

import kfp_server_api as api
import yaml
from dateutil.parser import isoparse
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

PLAIN = {"str": str, "bool": bool, "int": int}
FITS = {
    "STRING": lambda value: isinstance(value, str),
    "NUMBER_INTEGER": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "NUMBER_DOUBLE": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "BOOLEAN": lambda value: isinstance(value, bool),
    "LIST": lambda value: isinstance(value, list),
    "STRUCT": lambda value: isinstance(value, dict),
}
CRON_FIELD = re.compile(r"[\w*?,/-]+")  # the real one reads them; five fields are as good to it as six
LIMITS = range(1, 11)


class BadRequest(Exception):  # noqa: N818 - the name of what HTTP calls 400
    """The server would answer 400."""


def demand(holds, problem):
    if not holds:
        raise BadRequest(problem)


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
        raise BadRequest(f"pipeline spec: {error}") from error
    demand(parsed.pipeline_info.name, "pipeline spec: no name")


def documents_of(text):
    """The two documents of an uploaded file, checked."""
    spec, platform = (*yaml.safe_load_all(text), {})[:2]
    check_pipeline(spec, platform)
    return {"pipeline_spec": spec, "platform_spec": platform}


def check_parameters(given, spec):
    """No parameter that the pipeline does not know, none missing, each of its type."""
    known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    demand(not given.keys() - known.keys(), f"not required by pipeline: {sorted(given.keys() - known.keys())}")
    for name, each in known.items():
        there = each.get("isOptional") or "defaultValue" in each or name in given
        demand(there, f"parameter {name} is not optional, yet has no value")
        demand(name not in given or FITS[each["parameterType"]](given[name]), f"parameter {name}: wrong type")


def check_recurring(recurring):
    """One trigger that can be read, and a concurrency within its limits."""
    trigger = recurring.get("trigger", {})
    demand(len(trigger) == 1, "exactly one of cron_schedule and periodic_schedule")
    demand(int(recurring.get("max_concurrency", 0)) in LIMITS, "max concurrency must be in [1, 10]")
    if cron := trigger.get("cron_schedule"):
        fields = cron["cron"].split()
        good = cron["cron"].startswith("@") or (5 <= len(fields) <= 6 and all(map(CRON_FIELD.fullmatch, fields)))
        demand(good, f"cron {cron['cron']!r} cannot be parsed")
    else:
        demand(int(trigger["periodic_schedule"]["interval_second"]) > 0, "interval must be positive")


def filtered_name(query):
    """The display name that a list is asked for, if it is; any other filter is none that we know the wire form of."""
    if "filter" not in query:
        return None
    if re.search("%(?![0-9A-Fa-f]{2})", query["filter"]):
        raise BadRequest("invalid URL escape")
    (predicate,) = json.loads(unquote_plus(query["filter"]))["predicates"]  # a second time: the query has been
    demand((predicate["operation"], predicate["key"]) == (1, "display_name"), f"filter: {predicate}")
    return predicate["stringValue"]
