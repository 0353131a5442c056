"""Imports: what it costs to import each library, and to start each verb and a task of the deploy image."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

ROUNDS = 3
FIRST_CALL = "import numba\nnumba.njit(lambda number: number + 1)(1)"  # most of it imports, too; compiling takes .1 s
LIBRARIES = {
    "numpy": "import numpy", "cv2": "import cv2", "numba": "import numba", "numba_called": FIRST_CALL,
    "onnxruntime": "import onnxruntime", "openvino": "import openvino", "pydantic": "from pydantic import BaseModel",
    "onnx": "import onnx", "scipy": "import scipy.linalg", "pandas": "import pandas", "kfp": "import kfp.dsl",
    "mlflow": "from mlflow import MlflowClient", "keras": "import keras",
}  # fmt: skip
WORDS = {
    "numba_called": "numba, with its first call",
    "onnx": "ONNX",
    "cv2": "OpenCV",
    "keras": "Keras with TensorFlow",
    "scipy": "scipy.linalg",
}
BARE = """
import sys
import cv2, numba, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
kind = numpy.uint8 if given.type == "tensor(uint8)" else numpy.float32
session.run(None, {given.name: numpy.zeros((1, int(sys.argv[2]), int(sys.argv[3]), 3), kind)})
"""
PHOTO = "images/000000000086.jpg"  # of coco_sample
SIZE = "464", "368"  # what the network gets of it
VERBS = ("inference", "evaluate", "dataset_convert", "spec")
UNCOMPILED = "nothing kept of what Python compiles of its sources"
ROWS = {
    **{f"import_{key}": (f"seconds to import {WORDS.get(key, key)}", "") for key in LIBRARIES},
    "start_pass": ("seconds of `python -c pass`, which is in none of these", ""),
    "start_libraries": ("seconds to import numba, OpenCV and ONNX Runtime and run the shipped network once", ""),
    "start_inference": ("seconds of `inference` of one photo, beyond those", "≤ 0.5"),
    "start_inference_called": ("the same, numba's first call counted with numba", ""),
    "start_evaluate": ("seconds of `evaluate` on one photo, beyond the same", ""),
    "start_dataset_convert": ("seconds of `dataset_convert` of one photo", ""),
    "start_spec": ("seconds of `bpnet spec --help`", ""),
    "start_task": ("seconds of a task of the deploy image that only compares two numbers, `gate`", "≤ 2"),
    "start_task_uncompiled": (f"the same, {UNCOMPILED}", ""),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``: medians of commands that take turns, in processor seconds of a core, bytecode kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = list_commands(folder)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "TF_CPP_MIN_LOG_LEVEL": "2"}
        turns = [
            {key: time_command(command, environment) for key, command in commands.items()} for _ in range(ROUNDS + 1)
        ]
        found = {key: median(turn[key] for turn in turns[1:]) for key in commands}  # the first compiles
        bare = environment | {"PYTHONPYCACHEPREFIX": str(folder / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
        found["start_task_uncompiled"] = median(time_command(commands["start_task"], bare) for _ in range(ROUNDS))
    nothing = found["start_pass"]
    found = {key: seconds - (nothing if key != "start_pass" else 0) for key, seconds in found.items()}
    for verb in ("inference", "evaluate"):
        found[f"start_{verb}"] -= found["start_libraries"]
    first_call = found["import_numba_called"] - found["import_numba"]
    return found | {"start_inference_called": found["start_inference"] - first_call}


def list_commands(folder: Path) -> dict[str, Sequence[str]]:
    """Return the command of each row."""
    from bodyposenet.common.data.photo_set import make_dataset_spec
    from bodyposenet.common.model.files.bundled import PEOPLE, runnable_path

    python, bpnet = sys.executable, str(Path(sys.executable).with_name("bpnet"))
    photo = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve() / "coco_sample" / PHOTO
    subprocess.run([bpnet, "synthesize", "-o", str(folder / "drawn"), "--train", "1", "--val", "1"], check=True)
    spec, to = str(folder / "spec.json"), ("-r", str(folder / "out"))
    Path(spec).write_text(make_dataset_spec(folder / "drawn").model_dump_json(by_alias=True), encoding="utf-8")
    named = {
        "pass": [python, "-c", "pass"],
        "libraries": [python, "-c", BARE, str(runnable_path(PEOPLE, None)), *SIZE],
        "inference": [bpnet, "inference", "--input", str(photo), *to],
        "evaluate": [bpnet, "evaluate", "-d", spec, "-m", PEOPLE, *to],
        "dataset_convert": [
            bpnet,
            "dataset_convert",
            "-d",
            spec,
            "-o",
            str(folder / "records/train"),
            "-m",
            "test",
            "--from_scratch",
        ],
        "spec": [bpnet, "spec", "--help"],
        "task": task_command(folder),
    }
    libraries = {f"import_{key}": [python, "-c", code] for key, code in LIBRARIES.items()}
    return libraries | {f"start_{key}": command for key, command in named.items()}


def task_command(folder: Path) -> Sequence[str]:
    """Return how Kubeflow starts the task ``gate``, with its outputs in a folder."""
    from bodyposenet.components._base import COMMAND, FUNCTION

    page = {"name": "decision", "type": {"schemaTitle": "system.Markdown"}, "uri": f"{folder}/decision", "metadata": {}}
    given = {
        "inputs": {"parameterValues": {"float_ap": 0.5, "int8_ap": 0.49, "min_ap": 0.4}},
        "outputs": {
            "parameters": {"Output": {"outputFile": f"{folder}/passed"}},
            "artifacts": {"decision": {"artifacts": [page]}},
            "outputFile": f"{folder}/outputs.json",
        },
    }
    return [sys.executable, *COMMAND[1:], FUNCTION, "gate", "--executor_input", json.dumps(given)]


def time_command(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
