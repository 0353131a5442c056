"""A network's way through the registry of whatever store is set: tracked, registered, promoted, fetched, loaded."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from support.person_net import BRIGHT, DARK, assert_the_person

from bodyposenet.common.tracking import fetch, find_champion, find_registered, promote, register_model, task_run
from bodyposenet.common.tracking.attachments import BASE, attach, fetch_attachment, find_attachment

SETTINGS = {"input_shape": [128, 128]}


def assert_the_way(network, name, folder):
    """That a network takes that way and comes out of it as it went in; returns its version in the registry."""
    import mlflow

    tags = {"inputs": "digest-1", "network_sha256": "n", "gflops": 1.5}
    with task_run("register") as run:
        run.log_params({"rate": 0.25}, prefix="data")
        tags |= attach(run, BASE, network)
        version = register_model(network, metrics={"ap": 0.5}, name=name, tags=tags, settings=SETTINGS)
    client = mlflow.MlflowClient()
    tracked = client.get_run(run.id)
    assert tracked.info.status == "FINISHED"
    assert (tracked.data.metrics, tracked.data.params) == ({"ap": 0.5}, {"data.rate": "0.25"})
    held = client.get_model_version_by_alias(name, "candidate")
    assert (str(held.version), held.run_id, held.tags["gflops"]) == (version, run.id, "1.5")
    assert find_registered(name, "digest-1", "n") == version
    assert find_registered(name, "digest-2", "n") == ""
    assert find_champion(name) is None
    promote(name, version)
    assert (find_champion(name).version, find_champion(name).ap) == (version, 0.5)
    assert find_champion(name, inputs="digest-1") is None
    kept = find_attachment(find_champion(name).tags, BASE)
    with tempfile.TemporaryDirectory() as aside:
        assert fetch_attachment(kept, Path(aside)).read_bytes() == network.read_bytes()
        assert fetch_attachment(kept, Path(aside), beside="another") is None
        assert fetch_attachment(replace(kept, run="0" * 32), Path(aside)) is None
    file = fetch(name, "champion", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["inference_spec.json", "model.onnx"]
    assert file.read_bytes() == network.read_bytes()
    assert json.loads((folder / "inference_spec.json").read_text()) == SETTINGS
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert_the_person(model.predict(BRIGHT))
    assert model.predict(DARK) == []
    return version
