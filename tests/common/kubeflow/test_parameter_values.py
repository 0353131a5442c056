"""Settings: a spec's dict is the same before and after Kubeflow, nulls and whole numbers included."""

import json

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from kfp import dsl, local
from kfp.compiler import Compiler
from support.local_run import without_words_of_kfp

from bodyposenet.common.kubeflow.parameter_values import restore_ints, to_kfp
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec

PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-9, 9) | st.text().filter("null".__ne__)
TREES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
NULLS = {"keep_aspect_ratio_mode": None, "scales": None, "input_shape": [64, 96], "max_people": 3, "train_spec": "a"}
PORTABLE = to_kfp(NULLS)


def through_kubeflow(settings):
    """A dict as a task gets it: a protobuf Struct has floats only."""
    struct = struct_pb2.Struct()
    struct.update(settings)
    return json_format.MessageToDict(struct)


@dsl.component(base_image="none")
def tell(spec: dict) -> str:
    """Return what arrives."""
    import json

    return json.dumps(spec)


@dsl.pipeline(name="tells")
def tells(spec: dict = PORTABLE) -> str:
    """Return what arrives."""
    return tell(spec=spec).output


def as_numbers(tree):
    """The tree with floats that are whole numbers as these, which is all that is lost."""
    return json.loads(json.dumps(restore_ints(tree)))


@given(st.dictionaries(st.text(), TREES))
def test_a_dict_comes_back_from_kubeflow_as_it_was(settings):
    assert json.dumps(restore_ints(through_kubeflow(to_kfp(settings))), sort_keys=True) == json.dumps(
        as_numbers(settings), sort_keys=True
    )


def test_null_means_what_it_says_and_not_the_default():
    spec = parse_spec(restore_ints(through_kubeflow(to_kfp(NULLS))), InferenceSpec)
    assert spec == parse_spec(NULLS, InferenceSpec)
    assert spec.keep_aspect_ratio_mode is None
    assert InferenceSpec().keep_aspect_ratio_mode is not None


def test_a_null_that_a_client_sends_as_json_is_one_too():
    assert restore_ints(through_kubeflow(NULLS)) == NULLS


def test_kubeflow_s_own_tools_refuse_none_and_take_the_word(tmp_path):
    with pytest.raises(ValueError, match="NoneType"):
        dsl.pipeline(name="none")(lambda: tell(spec={"a": None}) and None)
    Compiler().compile(tells, str(tmp_path / "tells.yaml"))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"), raise_on_error=True)
    with without_words_of_kfp():
        for run in (tells(), tells(spec=to_kfp(NULLS))):
            assert restore_ints(json.loads(run.output)) == NULLS
