"""Attacks: the inputs of a long attack, each as its README says; what they showed then must not be seen again."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.coco_files import annotation, dataset_spec, image, write_dataset
from support.person_net import write_network

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.deploy.quantization.calibration_images import from_tensorfile
from bodyposenet.common.deploy.tensorrt.engine_file import read_engine
from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking.offline_buffer import read_kept, read_progress

pytestmark = pytest.mark.data
TESTS = Path(__file__).parent
SECONDS = 60  # of processor time: a hang, not a measurement, as some verbs import MLflow or Kubeflow first
HELD_ELSEWHERE = {
    "02-onnxruntime-telemetry": "common/machine/test_telemetry.py",
    "04-killed-export-is-refused": "common/cli/test_export_kill.py",
    "18-leftovers": "common/cli/test_killed_verbs.py",
    "19-pipeline-takes-the-newest-folder": "pipelines/here/test_here.py",
    "20-disk-full-segfault": "common/cli/test_killed_verbs.py",
}
HERE = {
    "01-manifest-deletes-files", "03-send-after-kill-never-works", "05-keras-zip-bomb", "06-png-bomb",
    "07-synthesize-loses-pictures", "08-yaml-alias-bomb", "09-spec-tracebacks", "10-manifest-card-tracebacks",
    "11-tensorfile", "13-tracking-address", "14-signed-url", "16-terminal-escapes", "17-onnx-tracebacks",
    "22-kubeflow-address",
}  # fmt: skip


@pytest.fixture(scope="session")
def attacks(data_folder):
    return data_folder / "attacks"


@pytest.fixture
def refuse(monkeypatch):
    """Run a verb that must end with exit code 2 and one line soon; the answer is what it printed."""

    def run(*words, **environment):
        for name, value in {"MLFLOW_TRACKING_URI": "", **environment}.items():
            monkeypatch.setenv(name, value)
        begun = time.process_time()
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert time.process_time() - begun < SECONDS
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        assert all(each.isprintable() or each == "\n" for each in done.output)
        return done.output

    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """What ``bpnet synthesize -o photos --train 6 --val 2`` writes."""
    folder = tmp_path_factory.mktemp("drawn")
    synthesize(folder / "photos", train=6, val=2, size=(120, 160))
    return folder


@pytest.fixture(scope="session")
def person(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("person") / "person.onnx")


def test_every_input_is_tried(attacks):
    assert {path.name for path in attacks.iterdir()} == HERE | HELD_ELSEWHERE.keys()
    assert all((TESTS / file).is_file() for file in HELD_ELSEWHERE.values())


def test_01_a_manifest_deletes_nothing(attacks, drawn, refuse, tmp_path, monkeypatch):
    shutil.copytree(drawn / "photos", tmp_path / "photos")
    shutil.copy(attacks / "01-manifest-deletes-files/coco_spec.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("../victim.txt", str(tmp_path / "victim.txt")):
        (tmp_path / "victim.txt").write_text("precious")
        (tmp_path / "out").mkdir(exist_ok=True)
        manifest = {"schema": 1, "sets": {"train": {"shards": [{"file": name}]}}}
        (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
        assert "no name of a file" in refuse("dataset_convert", "-d", "coco_spec.json", "-o", "out/train")
        assert (tmp_path / "victim.txt").read_text() == "precious"


@pytest.mark.heavy
def test_03_a_run_that_was_killed_while_it_was_sent_is_sent(attacks, tmp_path, tracked_at):
    tracked_at(f"sqlite:///{tmp_path}/m.db")
    shutil.copytree(attacks / "03-send-after-kill-never-works/kept", tmp_path / "kept")
    done = CliRunner().invoke(main, ["tracking", "send", f"{tmp_path}/kept"])
    assert done.exit_code == 0, done.output
    assert not list((tmp_path / "kept").rglob("run.jsonl"))


@pytest.mark.heavy
@pytest.mark.parametrize(("member", "gib"), [("config.json", 1), ("bodyposenet.json", 1), ("model.weights.h5", 3)])
def test_05_a_network_that_unpacks_to_gigabytes_is_refused(attacks, refuse, tmp_path, member, gib):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.files.model_file import save_model

    save_model(pose_net(stages=1, width=2), tmp_path / "model.keras", CARD)
    make = [attacks / "05-keras-zip-bomb/make.py", tmp_path / "model.keras", member, str(gib), tmp_path / "bomb.keras"]
    subprocess.run([sys.executable, *make], check=True)
    told = refuse("prune", "-m", tmp_path / "bomb.keras", "-o", tmp_path / "p.keras", "-pth", 0.85)
    assert "unpacks to" in told


@pytest.mark.parametrize("side", [20_000, 32_000])
def test_06_a_picture_that_decodes_to_gigabytes_is_refused(attacks, refuse, person, tmp_path, side):
    subprocess.run([sys.executable, attacks / "06-png-bomb/make.py", str(side), tmp_path / "bomb.png"], check=True)
    assert "pixels" in refuse("inference", "-m", person, "--input", tmp_path / "bomb.png", "-r", tmp_path / "out")


def test_07_a_picture_that_cannot_be_written_is_told(refuse, tmp_path):
    (tmp_path / "out/images/train_000001.jpg").mkdir(parents=True)
    refuse("synthesize", "-o", tmp_path / "out", "--train", 4, "--val", 2)
    assert not list((tmp_path / "out").rglob("*.json")) or not (tmp_path / "out/annotations").exists()


@pytest.mark.parametrize("folder", ["08-yaml-alias-bomb", "09-spec-tracebacks", "16-terminal-escapes"])
def test_08_09_16_a_spec_of_a_stranger_is_told_in_a_line(attacks, refuse, folder):
    files = [path for path in (attacks / folder).iterdir() if path.suffix in (".yaml", ".json")]
    assert len(files) == {"08-yaml-alias-bomb": 1, "09-spec-tracebacks": 8, "16-terminal-escapes": 2}[folder]
    for file in files:
        refuse("spec", "check", file)


def test_10_manifests_of_strangers_are_told(attacks, tmp_path):
    files = sorted((attacks / "10-manifest-card-tracebacks").glob("manifest-*.json"))
    assert len(files) == 8
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(file, folder / "manifest.json")
        for shard in ("train-fold-000-of-001", "train-fold-000-of-002", "train-fold-001-of-002"):
            (folder / shard).write_bytes(b"")
        with pytest.raises(UserError):
            open_shards(folder, ["train"])


@pytest.mark.parametrize("folder", ["10-manifest-card-tracebacks", "17-onnx-tracebacks"])
def test_10_17_cards_of_strangers_are_told_or_give_people(attacks, person, tmp_path, folder):
    import cv2
    import numpy as np
    import onnx

    cv2.imwrite(str(tmp_path / "photo.png"), np.full((60, 80, 3), 200, np.uint8))
    files = sorted((attacks / folder).glob("card_onnx-*.json"))
    assert files
    for file in files:
        model = onnx.load(person)
        (entry,) = (entry for entry in model.metadata_props if entry.key == "bodyposenet")
        entry.value = file.read_text()
        onnx.save(model, tmp_path / "card.onnx")
        done = CliRunner().invoke(
            main, f"inference -m {tmp_path}/card.onnx --input {tmp_path}/photo.png -r {tmp_path}/out".split()
        )
        assert isinstance(done.exception, SystemExit | None), file
        assert done.exit_code in (0, 2), done.output


def test_10_engine_cards_kept_runs_and_lists_of_strangers_are_told(attacks, refuse, person, tmp_path):
    folder = attacks / "10-manifest-card-tracebacks"
    (tmp_path / "x.engine").write_bytes(b"engine")
    for file in folder.glob("engine_card-*.json"):
        shutil.copy(file, tmp_path / "x.engine.json")
        with pytest.raises(UserError):
            read_engine(tmp_path / "x.engine")
    for file in folder.glob("tracking_lines-*.jsonl"):
        shutil.copy(file, tmp_path / "run.jsonl")
        with pytest.raises(UserError, match="is no kept run"):
            read_kept(tmp_path)
    (lists,) = folder.glob("inference_list-*.json")
    refuse("inference", "-m", person, "--input_type", "json", "--input", lists, "-r", tmp_path / "out")


@pytest.mark.parametrize("kind", ["pipe", "device", "hole"])
def test_kept_runs_of_strangers_that_have_no_end_are_told(tmp_path, kind):
    for path in (tmp_path / "run.jsonl", tmp_path / "sent.json"):
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.touch()
            os.truncate(path, 1 << 40)
    assert read_progress(tmp_path / "sent.json") is None
    with pytest.raises(UserError, match=r"this is a pipe, a socket or a device|has more than"):
        read_kept(tmp_path)


def test_11_tensorfiles_of_strangers_are_told(attacks):
    files = sorted((attacks / "11-tensorfile").glob("*.h5"))
    assert len(files) == 6
    for file in files:
        begun = time.process_time()
        with pytest.raises(UserError):
            list(from_tensorfile(file, (96, 128), batches=1))
        assert time.process_time() - begun < SECONDS


@pytest.mark.heavy
@pytest.mark.parametrize("query", ["postgresql://127.0.0.1:1/db?user=u&password=SECRET", "http://127.0.0.1:1/?token=SECRET",
                                   "http://u:SEC/RET@127.0.0.1:1", "http://[::1"])  # fmt: skip
def test_13_the_address_of_a_store_is_told_without_its_secrets(tmp_path, monkeypatch, query):
    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(2)]
    spec = write_dataset(tmp_path / "data", [image(number) for number in range(2)], people)
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", query)
    done = CliRunner().invoke(main, ["dataset_convert", "-d", f"{tmp_path}/spec.json", "-o", f"{tmp_path}/out/train"])
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code in (0, 2)
    assert "SEC" not in done.output + "".join(
        path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*.json*")
    )


def test_14_the_signature_of_an_address_is_told_nowhere(refuse, tmp_path):
    address = "https://storage.googleapis.com/b/x?X-Goog-Signature=SECRET"
    spec = json.loads(dataset_spec(tmp_path).model_dump_json(by_alias=True)) | {"root_directory_path": address}
    (tmp_path / "coco_spec.json").write_text(json.dumps(spec))
    told = refuse("dataset_convert", "-d", tmp_path / "coco_spec.json", "-o", tmp_path / "dc/train")
    kept = [path.read_text() for path in (tmp_path / "dc").rglob("*") if path.is_file()]
    assert "SECRET" not in "".join([told, *kept])


@pytest.mark.parametrize("kind", ["cyclic", "external", "dims"])
def test_17_a_network_that_breaks_the_rules_is_told(attacks, refuse, tmp_path, kind):
    from fuzzing.formats.onnx_files import float_onnx_files

    (tmp_path / "model.onnx").write_bytes(float_onnx_files(tmp_path)[0])
    make = [attacks / "17-onnx-tracebacks/make.py", tmp_path / "model.onnx", kind, tmp_path / "bad.onnx"]
    subprocess.run([sys.executable, *make], check=True)
    for server in ("triton", "deepstream"):
        refuse("bundle", "--for", server, "-m", tmp_path / "bad.onnx", "-o", tmp_path / "out")
    assert not [path for path in tmp_path.rglob("*.onnx") if path.parent != tmp_path]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "asked", [{"host": "http://u:SECRET@127.0.0.1:1"}, {"variable": "http://u:SECRET@127.0.0.1:1/p?token=SECRET"}]
)
def test_22_the_address_of_kubeflow_is_told_without_its_secrets(refuse, asked):
    words = ["pipeline", "upload", "prune_retrain", *(["--host", asked["host"]] if "host" in asked else [])]
    variables = {"KF_PIPELINES_ENDPOINT": asked["variable"]} if "variable" in asked else {}
    assert "SECRET" not in refuse(*words, **variables)
    assert os.environ.get("KF_PIPELINES_ENDPOINT", "") == asked.get("variable", "")
