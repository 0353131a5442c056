"""Trials: what is run of each extra in an environment of its own, to see that its packages are all that it needs."""

import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.azure_server import azure_server, connection, make_container
from support.gcs_server import make_bucket, storage_server
from support.mlflow_server import tracking_server
from support.s3_server import AUTHORIZATION, KEYS, make_s3_bucket, s3_server

BASE = "base"  # the package without extras
BUCKET = "people"
HEAVY = ("keras", "kfp", "matplotlib", "mlflow", "mlflow-skinny", "pandas", "scipy", "tensorflow", "tensorflow-cpu")
# Without a compiler the first photo takes seconds; BASE alone goes the users' way.
PLAIN = {"NUMBA_DISABLE_JIT": "1"}

PRELUDE = """
set -euo pipefail
# Somebody was found in the photo, and is drawn.
found() {
    python -c "import json; assert json.load(open('bpnet-people/detections_coco_format.json')), 'nobody was found'" &&
        test -s bpnet-people/photo.people.jpg && ! cmp --silent photo.jpg bpnet-people/photo.people.jpg
}
"""
WITHIN = """
# People are found in the photo in so many seconds of processor time.
within() {
    python - "$1" <<'END'
import resource, subprocess, sys
subprocess.run(["bpnet", "inference", "photo.jpg"], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = used.ru_utime + used.ru_stime
assert seconds <= float(sys.argv[1]), f"{seconds:.1f} s of processor time, not {sys.argv[1]}"
END
    found
}
"""
PEOPLE = "bpnet inference photo.jpg\nfound\n"
TRAIN = """
cp -r "$EXAMPLE"/. .
bpnet synthesize -o photos --train 16 --val 4 --seed 0
bpnet dataset_convert -d coco_spec.json -o data/train -m train --generate_masks
bpnet train -e train.yaml -r results/base
bpnet prune -m results/base/bpnet_model.keras -o results/pruned.keras -eq union -pth 0.25 -nf 8
"""
EXPORT = """
bpnet synthesize -o drawn --train 8 --val 2 --seed 0
bpnet export -m pretrained:drawn_people -o small.onnx -d 192,256,3 -t tfonnx --data_type int8 \\
    --cal_image_dir drawn/images --batches 4
test -s small.int8.onnx -a -s small.int8.cache
bpnet inference -m small.int8.cpu.onnx --input_type dir --input drawn/images -r drawn/found
"""
TRACKED = """
bpnet inference photo.jpg
found
python - <<'END'
import mlflow
assert len(mlflow.search_runs(experiment_names=["bodyposenet"], output_format="list")) == 1, "the run is not there"
END
"""
COMPILE = """
bpnet pipeline compile -o compiled
test -s compiled/prune_retrain.yaml
"""
COMPOSE = """
python - <<'END'
from kfp import compiler, components, dsl
from bodyposenet.pipelines.resources import with_resources
END
bpnet component show evaluate
"""
ENCRYPTED = """
python - <<'END'
from pathlib import Path
from bodyposenet.common.model.files.bundled import runnable_path
from bodyposenet.common.storage.encryption import encrypt_file
encrypt_file(runnable_path("pretrained:people"), Path("locked.onnx"), "a key of six words or so")
END
BPNET_MODEL_KEY="a key of six words or so" bpnet inference -m locked.onnx photo.jpg
found
"""
ENGINE = """
model=$(python -c "from bodyposenet.common.model.files import bundled; print(bundled.FOLDER / 'people.onnx')")
bpnet build_engine -m "$model" -o people.engine --input_size 288,384 --engine_for sm89
test -s people.engine
"""


@dataclass(frozen=True)
class Trial:
    """What an extra is tried with.

    Attributes:
        shows: What it is good for, that was seen.
        script: Lines of bash, run in a folder with ``photo.jpg`` and with the environment's programs.
        beside: Extras that it is of no use without.
        absent: Packages that are not to come with it.
        most: Megabytes that it may take on the disk.
        variables: For the script.
        server: Serves the script, in a folder; gives the variables by which it is found.
    """

    shows: str
    script: str
    beside: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    most: float = float("inf")
    variables: Mapping[str, str] | None = None
    server: Callable[[Path], AbstractContextManager[Mapping[str, str]]] | None = None


def _put(url: str, method: str, photo: Path, **headers: str) -> None:
    headers = {"Content-Type": "image/jpeg"} | headers
    urllib.request.urlopen(urllib.request.Request(url, photo.read_bytes(), headers, method=method), timeout=30).close()


@contextmanager
def gcs(folder: Path) -> Iterator[Mapping[str, str]]:
    """A bucket of a server that speaks as Google's does, with the folder's photo in it."""
    with storage_server(folder) as url:
        make_bucket(url, BUCKET)
        _put(f"{url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=photo.jpg", "POST", folder / "photo.jpg")
        yield {"STORAGE_EMULATOR_HOST": url}


@contextmanager
def s3(folder: Path) -> Iterator[Mapping[str, str]]:
    """The same with Amazon's."""
    with s3_server(folder) as url:
        make_s3_bucket(url, BUCKET)
        _put(f"{url}/{BUCKET}/photo.jpg", "PUT", folder / "photo.jpg", Authorization=AUTHORIZATION)
        yield KEYS | {"AWS_ENDPOINT_URL": url}


@contextmanager
def azure(folder: Path) -> Iterator[Mapping[str, str]]:
    """The same with Microsoft's."""
    from azure.storage.blob import BlobServiceClient

    with azure_server(folder) as url:
        make_container(url, BUCKET)
        with BlobServiceClient.from_connection_string(connection(url)) as service:
            service.get_blob_client(BUCKET, "photo.jpg").upload_blob((folder / "photo.jpg").read_bytes())
        yield {"AZURE_STORAGE_CONNECTION_STRING": connection(url)}


@contextmanager
def mlflow(folder: Path) -> Iterator[Mapping[str, str]]:
    """An MLflow server."""
    with tracking_server(folder) as url:
        yield {"MLFLOW_TRACKING_URI": url}


def _from_store(kind: str, server: Callable[[Path], AbstractContextManager[Mapping[str, str]]]) -> Trial:
    script = f"bpnet inference {kind}://{BUCKET}/photo.jpg\nfound\n"
    return Trial(f"people in a photo in {kind}://", script, variables=PLAIN, server=server)


TRIALS = {
    BASE: Trial(
        "people in a photo, drawn, in 10 s of processor time; in 5 s once the decoder is compiled",
        WITHIN + "within 10\nbpnet doctor --warm\nwithin 5\n",
        absent=HEAVY,
        most=600,
    ),
    "train": Trial("a training on drawn people, and a pruned network", TRAIN, absent=("kfp", "mlflow")),
    "deploy": Trial("8 bits of a Keras network, and people found by them", EXPORT, beside=("train",)),
    "crypto": Trial("people by an encrypted network", ENCRYPTED, absent=HEAVY, variables=PLAIN),
    "gcs": _from_store("gs", gcs),
    "s3": _from_store("s3", s3),
    "azure": _from_store("abfs", azure),
    "kubeflow": Trial("kfp and the tasks' resources, a component's file", COMPOSE, absent=("mlflow", "tensorflow-cpu")),
    "container": Trial("a tracked inference", TRACKED, absent=("tensorflow-cpu",), variables=PLAIN, server=mlflow),
    "pipelines": Trial(
        "pipelines compiled, a tracked inference",
        COMPILE + TRACKED,
        absent=("tensorflow-cpu",),
        variables=PLAIN | {"MLFLOW_TRACKING_URI": "sqlite:///runs.db"},
    ),
    "openvino": Trial("people by OpenVINO", PEOPLE, absent=HEAVY, variables=PLAIN | {"BODYPOSENET_RUNNER": "openvino"}),
    "trt-rtx": Trial("an engine for a GPU that is not here", ENGINE, absent=HEAVY),
    "all": Trial("training, pruning, 8 bits, and pipelines compiled", TRAIN + EXPORT + COMPILE),
}
LEFT_OUT = {
    "trt": "comes from NVIDIA's own package index",
    "train-gpu": "is 5 GB of CUDA's libraries, and needs a GPU",
    "dev": "is what the tests run in",
}


def environment_of(trial: Trial, programs: Path, folder: Path) -> dict[str, str]:
    """The variables of a trial's script: nothing of this project's development, a home of its own."""
    kept = {"LANG", "LC_ALL", "SSL_CERT_FILE", "TZ"} & os.environ.keys()
    own = {
        "PATH": f"{programs}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "home"),
    }
    return {name: os.environ[name] for name in kept} | own | dict(trial.variables or {})
