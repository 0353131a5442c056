"""Task start: what the task of a component has imported when its function is done, started as Kubeflow starts it."""

import json
import subprocess
import sys

from bodyposenet.components._base import COMMAND, FUNCTION

SPARED = {"tensorflow", "keras", "mlflow", "pandas", "numba", "onnx", "onnxruntime", "scipy", "kubernetes", "google"}
AT_THE_END = "import atexit, sys; atexit.register(lambda: print('loaded:', *{n.split('.')[0] for n in sys.modules})); "


def test_a_task_that_compares_two_numbers_loads_no_library_for_networks(tmp_path):
    page = {"name": "decision", "type": {"schemaTitle": "system.Markdown"}, "uri": str(tmp_path / "decision.md")}
    outputs = {
        "parameters": {"Output": {"outputFile": str(tmp_path / "passed")}},
        "artifacts": {"decision": {"artifacts": [page | {"metadata": {}}]}},
        "outputFile": str(tmp_path / "outputs.json"),
    }
    given = {"inputs": {"parameterValues": {"float_ap": 0.5, "int8_ap": 0.49, "min_ap": 0.4}}, "outputs": outputs}
    arguments = [FUNCTION, "gate", "--executor_input", json.dumps(given)]
    command = [sys.executable, "-c", AT_THE_END + COMMAND[2], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads((tmp_path / "outputs.json").read_text())["parameterValues"] == {"Output": True}
    assert not {*done.stdout.split("loaded:")[1].split()} & SPARED
