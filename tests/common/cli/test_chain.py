"""Command line: a small network goes through every verb, with the flags of TAO's scripts."""

import json
import re
import shlex

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.coco_files import image
from support.small_chain import write_specs

from bodyposenet.common.cli.main import main
from bodyposenet.common.storage.encryption import is_encrypted

FOLDER = "Größe 1 & Übung"  # blanks and umlauts in every path


def bpnet(command):
    """The result of a command, which must end well."""
    result = CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def refused(command):
    """What is said of a command that is wrong usage."""
    result = CliRunner().invoke(main, shlex.split(command))
    assert (result.exit_code, "Traceback" in result.stderr) == (2, False), result.stderr
    return result.stderr


def open_networks(folder):
    """Files of a folder that hold a network, or a part of one, for everybody to read."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".npz"]
    return {path.name for path in files if path.read_bytes()[:4] in (b"PK\3\4", b"\x89HDF") or path.suffix == ".onnx"}


def add_negatives(folder):
    """Photos with nobody in both halves, in records and in a share of each batch."""
    for half, count in (("train", 2), ("val", 1)):
        file = folder / f"drawn/annotations/person_keypoints_{half}.json"
        content = json.loads(file.read_text())
        for number in range(count):
            entry = image(9000 + number, size=(120, 160), name=f"empty-{half}-{number}.png")
            content["images"].append(entry)
            cv2.imwrite(str(folder / "drawn/images" / entry["file_name"]), np.full((120, 160, 3), 90, np.uint8))
        file.write_text(json.dumps(content))
    spec = json.loads((folder / "coco.json").read_text())
    (folder / "coco.json").write_text(json.dumps(spec | {"negative_photos": True}))
    for name in ("train.yaml", "retrain.yaml"):
        told = (folder / name).read_text()
        (folder / name).write_text(told.replace("dataloader:\n", "dataloader:\n  negatives: 0.1\n", 1))


@pytest.mark.slow
@pytest.mark.usefixtures("cheap_keys")
def test_a_network_goes_through_every_verb(tmp_path, monkeypatch):
    tmp_path = tmp_path / FOLDER
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BPNET_MODEL_KEY", raising=False)
    write_specs(tmp_path)
    moved = f"--path-map '/workspace={tmp_path}'"
    bpnet("synthesize -o drawn --train 8 --val 3 --size 120,160")
    add_negatives(tmp_path)
    said = bpnet(f"dataset_convert -d coco.json -o data/train -m train --generate_masks {moved}")
    assert ", 2 negatives, 0 images left out" in said.stdout
    bpnet(f"train -e train.yaml -r results/first --gpus 1 -l INFO {moved}")
    assert (tmp_path / "results/first/bpnet_model.keras").exists()

    flags = "-eq union -pth 1.5 -pg 2 -nf 2 -k S3CRET --allow-plain"
    said = bpnet(f"prune -m results/first/bpnet_model.tlt -o pruned/small.tlt {flags}")
    assert "note: results/first/bpnet_model.tlt is not there; taking results/first/bpnet_model.keras" in said.stderr
    after, before = (int(word.replace(",", "")) for word in said.stdout.split() if word.replace(",", "").isdigit())
    assert after < before / 2

    bpnet(f"train -e retrain.yaml -r results/again -k S3CRET {moved}")
    bpnet("export -m results/again/bpnet_model.tlt -o small.etlt -d 64,64,3 -e retrain.yaml -t tfonnx -k S3CRET")
    said = bpnet(f"evaluate -i infer.yaml -d coco.json -m small.etlt -r results/eval -k S3CRET {moved}").stdout
    assert "ceiling AP" in said
    assert re.search(
        r"^false positives a photo +\d+\.\d{3}\n- with nobody labelled +\d+\.\d{3} \(1 photo\)$", said, re.M
    )
    assert (tmp_path / "results/eval/results.csv").exists()
    images = "--input_type dir --input drawn/images --results_dir results/infer --dump_visualizations"
    bpnet(f"inference --inference_spec infer.yaml --model_filename small.etlt {images} -k S3CRET")
    assert len(json.loads((tmp_path / "results/infer/detections.json").read_text())["images"]) == 14
    for folder in ("first", "again", "eval", "infer"):
        last = (tmp_path / "results" / folder / "status.json").read_text().splitlines()[-1]
        assert json.loads(last)["status"] == "SUCCESS"
    assert {
        name for folder in ("again", "eval", "infer") for name in open_networks(tmp_path / "results" / folder)
    } == set()
    assert all(
        is_encrypted(tmp_path / name) for name in ("pruned/small.tlt", "results/again/bpnet_model.tlt", "small.etlt")
    )
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if b"S3CRET" in path.read_bytes()] == []

    evaluate = f"evaluate -i infer.yaml -d coco.json -m small.etlt -r results/other {moved}"
    assert "small.etlt: is encrypted, and no key is given; give the key" in refused(evaluate)
    assert "small.etlt: does not open: the key is another" in refused(f"{evaluate} -k OTHER")
    assert "pruned/small.tlt: is encrypted" in refused(f"train -e retrain.yaml -r results/third {moved}")
    monkeypatch.setenv("BPNET_MODEL_KEY", "S3CRET")
    assert bpnet(evaluate).stdout.replace("results/other", "results/eval") == said
