"""Events: what a kept run says is taken for an event, or is told to be none."""

import pytest

from bodyposenet.common.tracking.events import artifact, metrics, params, require_event

GOOD = [
    params({"a": {"b": 1}, "c": "x" * 900}, "spec"),
    metrics([(1, {"loss": 0.5}), (None, {"ap": 1})]),
    {"op": "artifact", "path": "files/a", "folder": ""},
    {"op": "tags", "values": {"a": "b"}},
    {"op": "model", "model_id": "m-1"},
    {"op": "end", "status": "FINISHED", "time": 2},
]


@pytest.mark.parametrize("event", GOOD)
def test_what_a_run_logs_is_an_event(event):
    require_event(event)


def test_a_file_goes_to_a_folder_of_the_run(tmp_path):
    require_event(artifact(tmp_path / "a", "report"))
    for folder in ("../x", "/etc", "a/../../b", "C:\\x"):
        with pytest.raises(ValueError, match="is no folder of a run's"):
            require_event(artifact(tmp_path / "a", folder))


@pytest.mark.parametrize(
    "event",
    [
        None, [], "params", {}, {"op": "params"}, {"op": ["params"]}, {"op": "params", "values": {}, "whole": None},
        {"op": "params", "values": {"a": 1}, "whole": {}}, {"op": "metrics", "values": [["loss", "1", 0, 0]]},
        {"op": "metrics", "values": [["loss", 0.5]]}, {"op": "tags", "values": {"a": None}}, {"op": "exec"},
        {"op": "artifact", "path": 3, "folder": ""}, {"op": "end", "status": "FINISHED", "time": "now"},
    ],
)  # fmt: skip
def test_what_is_none_is_told(event):
    with pytest.raises(TypeError):
        require_event(event)
