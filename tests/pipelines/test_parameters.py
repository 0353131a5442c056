"""Parameters: what settings look like on the command line, in a declaration, and as they travel."""

import json
import logging
import os
import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.pipelines.package import Input, read_package
from bodyposenet.pipelines.parameters import from_spec, from_words, problems

ROWS = [f"&a0 [{', '.join(['x'] * 9)}]", *(f"&a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12))]
BOMB = "".join(f"a{k}: {row}\n" for k, row in enumerate(ROWS))  # 9 ** 12 values
LIST_BOMB = f"[{', '.join(ROWS)}]"
DEEP = ["[" * 200_000, "- " * 200_000, "a: {" * 200_000, "\n".join(" " * level + "a:" for level in range(2000))]
INPUTS = {"train_spec": Input("STRUCT", True), "data": Input("STRING", True)}
SPEC = {"num_epoch": 3, "optimizer": {"__class_name__": "AdamW", "weight_decay": 1e-3}}


@pytest.mark.parametrize("place", ["gs://bucket/train.yaml", "/specs/train.yaml", "train.yaml", "my specs/train.yaml"])
def test_a_place_travels_as_the_file_that_has_the_settings(place):
    assert from_words({"train_spec": place}, INPUTS) == {"train_spec": {"from": place}}
    assert from_words({"data": place}, INPUTS) == {"data": place}


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps, lambda spec: json.dumps(spec, indent=2)])
def test_settings_are_the_same_as_yaml_as_json_and_in_a_file(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.yaml").write_text(write(SPEC))
    for word in (write(SPEC), "@train.yaml"):
        assert from_words({"train_spec": word}, INPUTS) == {"train_spec": SPEC}


@pytest.mark.parametrize(("word", "said"), [("a: [b", "train_spec:1: not valid YAML"), ("{a: 1, b", "train_spec:1")])
def test_settings_that_are_no_yaml_are_refused_with_their_line(word, said):
    with pytest.raises(SpecError, match=said):
        from_words({"train_spec": word}, INPUTS)


@given(st.one_of(st.integers(), st.lists(st.integers(), max_size=3), st.booleans()))
def test_what_is_neither_settings_nor_a_place_does_not_fit(value):
    values = from_words({"train_spec": json.dumps(value)}, INPUTS)
    assert [problem.split(" (")[0] for _, problem in problems(values, INPUTS)] == ["should be a mapping"]


def test_a_declaration_with_a_text_keeps_working_and_is_told_what_to_write(tmp_path, caplog):
    texts = {"train_spec": yaml.safe_dump(SPEC), "data": "gs://bucket/photos"}
    with caplog.at_level(logging.WARNING):
        assert from_spec(texts, INPUTS, tmp_path)["train_spec"] == SPEC
    assert caplog.messages == ["train_spec: write a mapping in place of a text: the keys themselves, or {from: PLACE}"]
    caplog.clear()
    assert from_spec({"train_spec": SPEC}, INPUTS, tmp_path) == {"train_spec": SPEC}
    assert (
        from_spec({"train_spec": {"from": "gs://b/t.yaml"}}, INPUTS, tmp_path)["train_spec"]["from"] == "gs://b/t.yaml"
    )
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "word", "said"),
    [
        ("min_ap", "55", "should be from 0 to 1 (got 55)"),
        ("min_ap", "-0.1", "should be from 0 to 1 (got -0.1)"),
        ("max_ap_drop", "2", "should be from 0 to 1 (got 2)"),
        ("images", str(2**53 + 1), "is beyond 2^53, and Kubeflow would change it (got 9007199254740993)"),
        ("model_name", "a/b", "MLflow takes no model named 'a/b': leave out /"),
    ],
)
def test_a_value_that_cannot_be_meant_is_told(name, word, said):
    kinds = {"images": "NUMBER_INTEGER", "model_name": "STRING"}
    inputs = {name: Input(kinds.get(name, "NUMBER_DOUBLE"), True)}
    assert list(problems(from_words({name: word}, inputs), inputs)) == [(name, said)]
    good = {name: {"images": 2**53, "model_name": "ab"}.get(name, 1)}
    assert list(problems(good, inputs)) == []


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", *DEEP])
def test_a_pipeline_that_no_reader_survives_is_refused_before_one_reads_it(tmp_path, text):
    """libyaml's composer ends the process where a text is nested deeply; an alias may stand for all memory."""
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"pipelineInfo: {{name: x}}\nroot: {{}}\ndeploymentSpec:\n{textwrap.indent(text, '  ')}")
    with pytest.raises(
        UserError, match=r"pipeline\.yaml: no compiled pipeline \((it holds more than|nothing is called)"
    ):
        read_package(file)


@pytest.mark.parametrize("text", [LIST_BOMB, *DEEP])
@pytest.mark.parametrize("kind", ["LIST", "STRUCT", "NUMBER_DOUBLE"])
def test_a_value_that_no_reader_survives_is_refused_before_one_reads_it(kind, text):
    inputs = {"thing": Input(kind, True)}
    try:
        told = list(problems(from_words({"thing": text}, inputs), inputs))
    except SpecError as error:
        told = [str(error)]
    assert len(told) == 1


def test_a_pipeline_s_file_of_a_terabyte_is_refused(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.touch()
    os.truncate(file, 1 << 40)
    with pytest.raises(UserError, match=r"no compiled pipeline \(it has more than 8,388,608 bytes"):
        read_package(file)
    with pytest.raises(UserError, match=r"the file of data cannot be read \(it has more than"):
        from_words({"data": f"@{file}"}, INPUTS)


def test_a_pipe_or_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", "/dev/zero"):
        with pytest.raises(UserError, match="cannot be read"):
            from_words({"data": f"@{path}"}, INPUTS)
    with pytest.raises(UserError, match="no compiled pipeline"):
        read_package(tmp_path / "pipe.yaml")


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: 2024-13-45", "[" * 4000 + "{"])
def test_settings_with_a_key_twice_or_unreadable_values_are_refused_without_a_traceback(text):
    with pytest.raises(SpecError, match="train_spec:"):
        from_words({"train_spec": text}, INPUTS)
