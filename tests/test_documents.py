"""Documents: every block that a reader would paste runs, in order, on a few pictures."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

import cv2
import matplotlib
import pytest
import yaml
from support.clips import write_clip
from support.documents import ROOT, RUN, SHELL, Block, Plan, Reader, blocks_of, pages
from support.kubeflow_fake import kubeflow
from support.warm_python import warm_python

SERVED = "a server, which does not end; tests/common/tracking/test_server.py runs this line"
BACKUP = "copies a server's store; tests/common/tracking/test_backup.py runs it"
EXAMPLE = "is a line of the worked example, which runs; tests/test_site.py holds the two together"
EXAMPLE_PAGE = "docs/worked-example.md"
DOCKER = "needs a Docker daemon and builds for minutes; make docker-test does"
NGC = "needs NVIDIA's files; tests/common/adopt goes the same way with files of their form"
NO_SUCH_RUN = "names a run that is not there; tests/pipelines/runs waits for and stops others"
CLUSTER = "needs Kubernetes' own server; tests/manifests/test_manifests.py renders every folder"
# Builds and installs this package alone, in a second; what it needs is found among the tests' libraries.
INSTALL = "export PYTHONPATH=$LIBRARIES && pip install --quiet --no-deps --no-index --no-build-isolation ."

CALLED = ("cpp", "js")  # tests/common/deploy/export/test_decoders.py compiles and calls them

PLAN = Plan(
    left_out={
        ("README.md", "make demo"): "takes minutes; tests/pipelines/test_demo.py runs it on a few pictures",
        ("CONTRIBUTING.md", "BODYPOSENET_TEST_DATA="): "that is what runs here",
        ("docs/adopting.md", "bpnet"): "needs Intel's files; tests/common/adopt reads them",
        ("docs/custom-skeleton.md", "bpnet"): "test_custom_skeleton_chain.py runs the page, with more epochs",
        ("docs/installation.md", "python3.11"): "is run as the README's block, without extras",
        ("docs/installation.md", "pip "): "is run as the README's block, without extras",
        ("docs/installation.md", "uv "): "uv may not be there",
        ("docs/installation.md", ". "): "of an environment that is not made",
        ("docs/models.md", "make people"): "takes an hour; tests/pipelines/people goes the same way in little",
        ("docs/pipeline.md", "make demo"): "takes minutes; tests/pipelines/test_demo.py runs it on a few pictures",
        ("docs/pipeline.md", "bpnet pipeline wait"): NO_SUCH_RUN,
        ("docs/pipeline.md", "bpnet pipeline stop"): NO_SUCH_RUN,
        ("docs/tao-migration.md", "ngc "): NGC,
        ("docs/tao-migration.md", "bpnet adopt"): NGC,
        ("docs/tao-migration.md", "bpnet evaluate -i bpnet_infer.yaml -d coco_spec.json -m tao.keras"): NGC,
        ("docs/tao-migration.md", "bpnet prune -m tao.keras"): NGC,
        ("docs/tao-migration.md", "bpnet train -e retrain_tao.yaml"): NGC,
        ("docs/tao-migration.md", "bpnet export -m results/small"): NGC,
        ("docs/tao-migration.md", "docker run"): NGC,
        ("docs/tracking.md", "copy="): BACKUP,
        ("docs/tracking.md", "cp "): BACKUP,
        ("docs/tracking.md", "python3"): BACKUP,
        ("docs/tracking.md", "touch"): BACKUP,
        ("docs/tracking.md", "mlflow server"): SERVED,
        ("docs/tracking.md", "mlflow models serve"): SERVED,
        ("docs/tracking.md", "echo"): "asks the server of the block before; test_server.py runs it",
        ("docs/tutorial.md", "mkdir"): EXAMPLE,
        ("docs/tutorial.md", "bpnet synthesize"): EXAMPLE,
        ("docs/tutorial.md", "bpnet spec"): EXAMPLE,
        ("docs/tutorial.md", "bpnet dataset_convert"): EXAMPLE,
        ("docs/tutorial.md", "bpnet train"): EXAMPLE,
        ("docs/tutorial.md", "bpnet prune"): EXAMPLE,
        ("docs/tutorial.md", "bpnet export"): EXAMPLE,
        ("docs/tutorial.md", "bpnet evaluate"): EXAMPLE,
        ("docs/tutorial.md", "bpnet inference"): EXAMPLE,
        ("images/README.md", "make images"): DOCKER,
        ("manifests/README.md", "aws"): CLUSTER,
        ("manifests/README.md", "kubectl"): CLUSTER,
        ("manifests/README.md", "gcloud"): "needs an account of Google's",
    },
    scaled={
        ("README.md", "python3.11 -m venv"): ("$PYTHON -m venv", "the tests' own version"),
        ("README.md", "pip install ."): (INSTALL, "the libraries are the tests' own"),
        ("docs/tao-migration.md", "-d 288,384,3"): ("-d 192,256,3", "fewer pixels"),
        ("docs/calibration.md", "-d 288,384,3"): ("-d 96,128,3", "fewer pixels"),
        (EXAMPLE_PAGE, "make .venv/.ready && . .venv/bin/activate"): ("true", "the environment is the tests' own"),
        (EXAMPLE_PAGE, "--train 80 --val 20"): ("--train 8 --val 4", "fewer pictures"),
        (EXAMPLE_PAGE, "--batches 20"): ("--batches 4", "fewer pictures"),
        ("docs/pipeline.md", "https://kubeflow.example.com/pipeline"): ("$KUBEFLOW", "the tests' server"),
        ("docs/calibration.md", "--batches 500"): ("--batches 4", "fewer pictures"),
        ("docs/data.md", "-n 500"): ("-n 5", "fewer pictures"),
        ("docs/tao-migration.md", "--batches 500"): ("--batches 4", "fewer pictures"),
    },
)
RUNNING = [block for page in pages() for block in blocks_of(page, *RUN) if PLAN.runs(block)]


@pytest.fixture(scope="module")
def programs():
    with tempfile.TemporaryDirectory() as folder, warm_python(Path(folder)) as programs:
        yield programs


@pytest.fixture(scope="module")
def server():
    with kubeflow() as fake:
        yield fake


@pytest.fixture(scope="module")
def readers(programs, server, tmp_path_factory):
    """Called with a page, its reader."""
    known = {}

    def reader_of(page):
        if page not in known:
            folder = checkout(tmp_path_factory.mktemp("page"))
            given = {begin: partial(make, readers=reader_of) for (its, begin), make in GIVEN.items() if its == page}
            known[page] = Reader(folder, programs, PLAN, environment(server.url), given)
        return known[page]

    return reader_of


INSTALLED = (
    "bodyposenet", "common", "components", "pipelines", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE",
)  # fmt: skip


def environment(url):
    """That of somebody who has installed the package, and tracks nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "BPNET_", "KF"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {
        "PATH": path,
        "KUBEFLOW": url,
        "KEY": "S3CRET",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHON": sys.executable,
        "LIBRARIES": sysconfig.get_path("purelib"),
    }


def checkout(folder):
    """What readers find where they begin: links, as nothing in them is written."""
    for name in ("docs", "manifests", *INSTALLED):
        (folder / name).symlink_to(ROOT / name)
    return folder


def worked_example():
    return next(block for block in blocks_of(EXAMPLE_PAGE, SHELL) if "bpnet synthesize" in block.text)


def ran_example(readers):
    """The folder that the worked example leaves."""
    reader = readers(EXAMPLE_PAGE)
    reader.read_until(worked_example())
    return reader.folder / "build" / "example"


def give_photos(reader, readers):
    """The example's pictures as a set of which the spec knows, and the same flat in ``photos``."""
    example, folder = ran_example(readers), reader.folder
    shutil.copytree(example / "photos", folder / "drawn")
    (folder / "photos").symlink_to(folder / "drawn" / "images")
    content = json.loads((example / "coco_spec.json").read_text()) | {"root_directory_path": "drawn"}
    (folder / "coco_spec.json").write_text(json.dumps(content))
    (folder / "data").mkdir()
    (folder / "data/train2017").symlink_to(folder / "drawn/images")
    return example, folder


def for_calibration(reader, readers):
    example, folder = give_photos(reader, readers)
    (folder / "infer.yaml").write_text((example / "infer.yaml").read_text().replace("[192, 256]", "[96, 128]"))
    shutil.copy(example / "results/small/bpnet_model.keras", folder / "model.keras")


def for_data(reader, readers):
    _, folder = give_photos(reader, readers)
    (folder / "data/annotations").mkdir()
    for name in ("train", "val"):
        labels = f"annotations/person_keypoints_{name}"
        shutil.copy(folder / f"drawn/{labels}.json", folder / f"data/{labels}2017.json")


def for_pipeline(reader, readers):
    shutil.copy(ROOT / "docs/example/train.yaml", reader.folder)


SMALL = (
    ("height: 192, width: 256", "height: 96, width: 128"),
    ("[24, 32]", "[12, 16]"),
    ("batch_size: 8", "batch_size: 4"),
)


def replace_all(text, pairs):
    """Replace each text that must be there by another."""
    for there, instead in pairs:
        assert there in text, there
        text = text.replace(there, instead)
    return text


def for_pruning(reader, readers):
    """The example's network, and few pixels to refit it to."""
    example = ran_example(readers)
    for name in ("results/base", "data"):
        shutil.copytree(example / name, reader.folder / name)
    shutil.copy(example / "coco_spec.json", reader.folder)
    (reader.folder / "train.yaml").write_text(replace_all((example / "train.yaml").read_text(), SMALL))


def for_retention(reader, readers):
    for name in ("results", "build/demo"):
        (reader.folder / name).mkdir(parents=True)


def for_serving(reader, readers):
    for name in ("small.onnx", "small.int8.onnx"):
        shutil.copy(ran_example(readers) / "results" / name, reader.folder / name.replace("small", "model"))


NARROW = (("pretrained:drawn_people", "null"), ("stages: 2", "stages: 1"), ("0.375", "0.0625"))


def for_tao(reader, readers):
    """Specs under the names of TAO's notebook, of a network that learns nothing."""
    example, folder = give_photos(reader, readers)
    pruned = "results/pruned/bpnet_model.pruned-0.2.tlt"
    for name, theirs in {"train": "train_coco", "retrain": "retrain_coco", "infer": "infer"}.items():
        text = (example / f"{name}.yaml").read_text().replace("results/pruned.keras", pruned)
        for there, instead in NARROW:
            text = text.replace(there, instead)
        (folder / f"bpnet_{theirs}.yaml").write_text(text)


REGISTER = """
from pathlib import Path
from bodyposenet.common.tracking import promote, register_model
promote("bodyposenet", register_model(Path({network!r}), metrics={{"AP": 0.6}}, name="bodyposenet"))
"""


def register(reader, readers, store):
    """Make the example's network a version in a store, and the champion."""
    (reader.folder / store).parent.mkdir(parents=True, exist_ok=True)
    script = reader.folder / ".register.py"
    script.write_text(REGISTER.format(network=str(ran_example(readers) / "results/small.onnx")))
    environment = reader.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{reader.folder / store}"}
    subprocess.run(
        [reader.programs / "warm-python", script], check=True, cwd=reader.folder, env=environment, capture_output=True
    )


def for_champion(reader, readers):
    register(reader, readers, "mlflow.db")
    reader.environment["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"


def for_registered(reader, readers):
    """What the demo leaves, and a photo."""
    register(reader, readers, "build/demo/mlflow.db")
    shutil.copy(min((ran_example(readers) / "photos/images").iterdir()), reader.folder / "photo.jpg")


def for_tutorial(reader, readers):
    """What its first five steps leave, which are the worked example."""
    example = ran_example(readers)
    for name in ("results", "photos"):
        shutil.copytree(example / name, reader.folder / name)
    shutil.copy(example / "infer.yaml", reader.folder)


def for_photo(reader, readers):
    """A photo that comes with a package."""
    shutil.copy(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg", reader.folder / "photo.jpg")


def for_python(reader, readers):
    """A photo beside one's script, and a folder with it."""
    for_photo(reader, readers)
    (reader.folder / "photos").mkdir()
    shutil.copy(reader.folder / "photo.jpg", reader.folder / "photos/holiday.jpg")
    for_video(reader, readers)


def for_video(reader, readers):
    """A second of a clip of the photo."""
    for_photo(reader, readers)
    photo = cv2.imread(str(reader.folder / "photo.jpg"))[::2, ::2]
    write_clip(reader.folder / "clip.mp4", [photo] * 5, "mp4v")


def for_card(reader, readers):
    shutil.copy(ROOT / "common/model/files/pretrained/drawn_people.keras", reader.folder / "model.keras")


GIVEN = {  # page, beginning of a block
    ("README.md", "python3.11"): for_photo,
    ("docs/tracking.md", "import cv2"): for_registered,
    ("docs/calibration.md", "bpnet export"): for_calibration,
    ("docs/data.md", "bpnet dataset_convert"): for_data,
    ("docs/pipeline.md", "export KF_"): for_pipeline,
    ("docs/pruning.md", "bpnet prune"): for_pruning,
    ("docs/python.md", "from bodyposenet"): for_python,
    ("docs/retention.md", "bpnet clean"): for_retention,
    ("docs/serving.md", "bpnet bundle"): for_serving,
    ("docs/tao-migration.md", "bpnet spec check"): for_tao,
    ("docs/tracking.md", "from pathlib"): for_champion,
    ("docs/training.md", "from dataclasses"): for_card,
    ("docs/tutorial.md", "bpnet bundle"): for_tutorial,
    ("docs/video.md", "bpnet inference clip"): for_video,
}


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNNING, ids=str)
def test_a_block_runs_as_it_is_written(block, readers):
    readers(block.page).read_until(block)


@pytest.mark.slow
def test_the_worked_example_ends_with_people_found(readers):
    example = ran_example(readers)
    found = json.loads((example / "results/inference/detections.json").read_text())["images"]
    assert len(found) == 12
    assert all(each["keypoints"] for each in found), "nobody is found in a photo"
    said = readers(EXAMPLE_PAGE).said[worked_example()]
    (ap,) = re.findall(r"^AP_0.50:0.95_all +([\d.]+)$", said, re.MULTILINE)
    assert float(ap) > 0.5, "the shipped weights' is above .6, and two short trainings leave it near"


def test_a_failure_is_told_with_the_page_and_the_line(tmp_path):
    block = Block("README.md", 7, SHELL, "true\nls nowhere\ntrue\n")
    with pytest.raises(AssertionError, match=r"README\.md:8: failed"):
        Reader(tmp_path, tmp_path, PLAN, dict(os.environ)).run(block)


def test_a_block_goes_on_where_the_one_before_it_ended(tmp_path):
    reader = Reader(tmp_path, tmp_path, PLAN, dict(os.environ))
    reader.run(Block("README.md", 1, SHELL, "mkdir deep && cd deep\nexport GREETING='good  day'\n"))
    assert reader.run(Block("README.md", 9, SHELL, 'pwd; echo "$GREETING"\n')) == f"{tmp_path}/deep\ngood  day\n"


def test_a_command_that_is_left_out_takes_its_lines_and_no_others_with_it():
    plan = Plan({("README.md", "two"): "a reason"}, {("README.md", "three"): ("3", "a reason")})
    block = Block("README.md", 1, SHELL, "one\ntwo |\n    more\nthree\n")
    assert plan.text(block) == "one\n:\n\n3\n"
    assert plan.runs(block)
    assert not plan.runs(Block("README.md", 1, SHELL, "two \\\n more\n"))


def test_whatever_the_plan_names_is_there():
    typed = [block for page in pages() for block in blocks_of(page, *RUN)]
    for page, begin in PLAN.left_out:
        commands = [text for block in typed if block.page == page for text in block.commands]
        assert any(text.startswith(begin) for text in commands), f"{page}: no command begins with {begin}"
    for page, there in PLAN.scaled:
        assert any(there in block.text for block in typed if block.page == page), f"{page}: {there} is not there"
    for page, begin in GIVEN:
        assert any(block.text.startswith(begin) for block in typed if block.page == page), f"{page}: {begin}"


def test_a_block_is_typed_or_shows_a_file_or_is_drawn():
    known = {*RUN, *CALLED, "yaml", "json", "mermaid"}
    assert {block.language for page in pages() for block in blocks_of(page)} <= known


def test_the_schedule_that_is_shown_is_the_file_that_is_named():
    (shown,) = blocks_of("docs/pipeline.md", "yaml")
    file = ROOT / "manifests/schedules/nightly_retrain.yaml"
    assert yaml.safe_load(shown.text) == yaml.safe_load(file.read_text())
