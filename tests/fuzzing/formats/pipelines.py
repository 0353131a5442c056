"""Pipelines: their packages, parameters and schedules."""

import functools

from fuzzing.parser import ROOT, Parser, json_files, text_files
from support.spec_files import INFERENCE
from support.tool_files import write_files

from bodyposenet.common.errors import UserError


def parameters(folder):
    return text_files(
        "1", "0.5", "true", "[1, 2]", "{a: 1}", "gs://bucket/spec.yaml", "{from: a.yaml}", "@file", "@@text"
    )


def _parameters(path):
    from bodyposenet.pipelines.package import Input
    from bodyposenet.pipelines.parameters import from_spec, from_words, problems, sendable

    inputs = {kind.lower(): Input(kind, True) for kind in (
        "STRING", "STRUCT", "LIST", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN")}  # fmt: skip
    inputs["model_name"] = Input("STRING", True)
    text = path.read_bytes().decode(errors="replace")
    for name in inputs:
        for read in (
            lambda name=name: from_words({name: text}, inputs),
            lambda name=name: from_spec({name: text}, inputs, path.parent),
        ):
            try:
                values = read()
            except UserError:
                continue
            list(problems(values, inputs))
            sendable(values)


def schedules(folder):
    write_files(folder, {"spec.yaml": INFERENCE})
    said = {"name": "nightly", "pipeline": "prune_retrain", "cron": "0 0 2 * * *", "parameters": {"model_name": "a"}}
    every = {"name": "often", "pipeline": "prune_retrain", "interval": "1h", "parameters": {"train_spec": "@spec.yaml"}}
    return json_files(said, every | {"enabled": False, "cache": False})


def _schedule(path):
    from bodyposenet.pipelines.schedules.schedules import read_file

    read_file(path, _find_package)


def _find_package(named):
    if named != "prune_retrain":
        raise UserError("no such pipeline", where=named)
    return _compiled()


@functools.cache
def _compiled():
    from bodyposenet.pipelines.package import read_package

    return read_package(ROOT / "pipelines/compiled/prune_retrain.yaml")


def packages(folder):
    small = ROOT / "pipelines/compiled/batch_inference.yaml"
    return [small.read_bytes()]


def _package(path):
    from bodyposenet.pipelines.package import read_package
    from bodyposenet.pipelines.workflow_size import estimate_workflow

    package = read_package(path)
    package.name, package.version, package.inputs, package.without_cache().text()
    estimate_workflow(package)


def crons(folder):
    return text_files("0 0 2 * * *", "@daily", "0 */5 1-3,7 ? jan-mar mon,fri", "0 0 0 31 2 *")


def _cron(path):
    from bodyposenet.pipelines.schedules import cron

    try:
        cron.parse(path.read_bytes().decode(errors="replace"))
    except ValueError:  # which the schedule's own check tells with its place
        return


PARSERS = (
    Parser("parameter", parameters, _parameters, heavy=True),
    Parser("schedule", schedules, _schedule, "nightly.yaml", "yaml", heavy=True),
    Parser("package", packages, _package, "pipeline.yaml", heavy=True),
    Parser("cron", crons, _cron),
)
