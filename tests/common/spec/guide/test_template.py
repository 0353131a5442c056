"""Template: a new spec passes the check, equals the defaults, and has every key with a comment."""

import re
import shlex

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from bodyposenet.common.cli.main import main
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.deploy import DeploySpec
from bodyposenet.common.spec.guide.keys import list_keys
from bodyposenet.common.spec.guide.schema import make_schema
from bodyposenet.common.spec.guide.template import make_example, write_template
from bodyposenet.common.spec.inference import TUNED, InferenceSpec
from bodyposenet.common.spec.kinds import KINDS, detect_kind, notes
from bodyposenet.common.spec.optimizer import Adam, AdamW, BpNetExponentialDecayLRSchedule
from bodyposenet.common.spec.prune import PruneSpec

OFF = re.compile(r"^( *)#(\S)")  # a key that is off; a comment has a blank after its #

KEY = re.compile(r"[ #]*(\w+):(?: |$)")
OTHERS = (Adam, AdamW, BpNetExponentialDecayLRSchedule)  # classes that are not the ones of the example


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def template(kind):
    return write_template(kind, schema="spec.schema.json")


def switch_on(lines):
    """The lines with what is off put in its place, but for what is off in it."""
    return [OFF.sub(r"\1\2", re.sub(r"^( *)#( +)", r"\1\2", line)) for line in lines]


def list_blocks(text):
    """Line numbers of each part and each key that is off at the margin of what it is in."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r" *#\w", line)]
    for start in starts:
        margin = lines[start].index("#")
        end = start + 1
        while end < len(lines) and re.match(rf" {{{margin}}}#( {{2,}}|-)", lines[end]):
            end += 1
        yield start, end


def test_a_new_spec_passes_the_check_and_equals_the_defaults(kind, tmp_path):
    path = tmp_path / f"{kind}.yaml"
    path.write_text(template(kind))
    assert detect_kind(path) is KINDS[kind]
    spec = load_spec(path, KINDS[kind])
    assert spec == KINDS[kind].model_validate(make_example(KINDS[kind]))
    assert notes(spec) == []


@pytest.mark.parametrize("model", [InferenceSpec, PruneSpec, DeploySpec])
def test_nothing_must_be_given_of_specs_that_are_all_defaults(model):
    assert make_example(model) == {}


def test_a_new_spec_passes_the_schema_that_it_names(kind):
    first, command, *_ = template(kind).splitlines()
    assert first == "# yaml-language-server: $schema=spec.schema.json"
    assert command.startswith("# bpnet ")
    assert Draft202012Validator(make_schema(kind)).is_valid(yaml.safe_load(template(kind)))


@pytest.mark.parametrize("name", ["my spec.yaml", "it's.yaml", "a\nb.yaml", "\udcff.yaml"])
def test_whatever_a_new_spec_is_called_its_command_is_one_line_that_a_shell_understands(name):
    text = write_template("infer", schema="spec.schema.json", file=name)
    text.encode()
    command = text.splitlines()[1].removeprefix("# ")
    assert shlex.split(command)[3] == name.replace("\n", "\\n").replace("\udcff", "\\udcff")
    assert yaml.safe_load(text) == yaml.safe_load(template("infer"))


def test_the_command_of_a_new_spec_is_one(kind):
    words = shlex.split(template(kind).splitlines()[1].removeprefix("# bpnet "))
    command, context = main, click.Context(main, info_name="bpnet")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, words)


def test_every_key_has_a_line(kind):
    named = {match[1] for match in map(KEY.match, template(kind).splitlines()) if match}
    assert named == {key.path[-1] for key in list_keys(kind) if key.model not in OTHERS}


def test_above_every_key_stands_a_comment(kind):
    lines = template(kind).splitlines()
    above = [lines[number - 1] for number, line in enumerate(lines) if KEY.match(line)]
    assert [line for line in above if not re.match(r"[ #]*(- )?# \S", line)] == []


def test_no_line_is_longer_than_a_page_is_wide(kind):
    assert [line for line in template(kind).splitlines() if len(line) > 120] == []


def test_each_part_that_is_off_can_be_switched_on(kind):
    text = template(kind)
    blocks = list(list_blocks(text))
    assert blocks or kind in ("prune", "deploy", "pose")
    for start, end in blocks:
        lines = text.splitlines()
        lines[start:end] = switch_on(lines[start:end])
        data = yaml.safe_load("\n".join(lines))
        if data.get("split"):
            del data["test_data"]
        if data.get("early_stopping"):
            data["dataloader"]["dataset_config"]["val_records_path"] = ["val"]
        parse_spec(data, KINDS[kind], where=text.splitlines()[start])


def test_what_a_models_card_fills_in_is_off_so_that_it_can():
    assert TUNED.isdisjoint(yaml.safe_load(template("infer")))
