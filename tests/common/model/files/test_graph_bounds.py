"""Graph bounds: networks of this project pass, and a graph that would take all memory is refused before it is built."""

import contextlib
import json
from importlib import resources

import pytest
from fuzzing.mutations import unpack
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.graph_bounds import hold_graph


def conv(filters=8, kernel=(3, 3), **more):
    return {"class_name": "Conv2D", "config": {"name": "conv", "filters": filters, "kernel_size": list(kernel), **more}}


def test_the_networks_that_are_shipped_pass():
    folder = resources.files("bodyposenet.common.model.files") / "pretrained"
    shipped = [file for file in folder.iterdir() if file.name.endswith(".keras")]
    assert shipped
    for file in shipped:
        hold_graph(json.loads(unpack(file.read_bytes())["config.json"]), file.name)


def test_a_large_network_passes():
    hold_graph({"layers": [conv(512) for _ in range(60)]}, "vgg")


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (conv(2**31), "has filters 2.14748e+09; 8192 are taken at most"),
        (conv(-(10**9)), "has filters -1e+09"),
        (conv(kernel=(3, 5000)), "has kernel_size 5000; 256"),
        (conv(strides=[1, 10**6]), "has strides 1e+06"),
        (conv(padding=[[0, 10**6], [0, 0]]), "has padding 1e+06"),
        ({"config": {"name": "dense", "units": 10**7}}, "has units 1e+07"),
        (conv(8192, (256, 256)), "its layers would have 4,398,046,511,104 weights"),
    ],
)
def test_a_layer_that_is_too_large_is_told(layer, told):
    with pytest.raises(UserError) as error:
        hold_graph({"a": [{"b": layer}]}, "net.keras")
    assert told in str(error.value)


KEYS = st.sampled_from(["filters", "units", "kernel_size", "config"])
CONFIGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(CONFIGS)
def test_any_configuration_passes_or_is_told(config):
    with contextlib.suppress(UserError):
        hold_graph(config, "net.keras")
