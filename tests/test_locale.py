"""Locale: files are read and written the same under any, and in folders whatever their names."""

import ast
import json
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.small_chain import write_specs
from support.warm_python import warm_python

ROOT = Path(__file__).parents[1]
CODE = ("bodyposenet", "common", "components", "pipelines", "images", "benchmarks")
PLACE = {"read_text": 0, "write_text": 1, "open": 0}  # of the encoding or the mode, in the arguments of a path's method


def opens_text(call):
    """Whether a call opens a file as text without a word of the encoding, so that the locale decides."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in PLACE or "encoding" in {keyword.arg for keyword in call.keywords}:
        return False
    if ast.unparse(call.func) in ("archive.open", "packed.open"):  # its members have no text mode
        return False
    if name != "open":
        return len(call.args) <= PLACE[name]
    return not any(mode_of(argument) for argument in [*call.args[:2], *(each.value for each in call.keywords)])


def mode_of(argument):
    """Whether an argument says that it is about bytes: a mode with ``b``, or flags of the operating system."""
    if isinstance(argument, ast.Constant):
        return isinstance(argument.value, str) and "b" in argument.value and set(argument.value) <= set("rwaxb+")
    return ast.unparse(argument).startswith("os.O_")


def lines_that_ask_the_locale(text):
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return sorted(call.lineno for call in calls if opens_text(call))


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text, newline='')", True),
        ("path.open()", True),
        ("path.open('rb')", False),
        ("open(path, 'w')", True),
        ("open(path, mode='ab+')", False),
        ("os.open(folder, os.O_RDONLY)", False),
    ],
)
def test_a_file_that_the_locale_decodes_is_found_in_the_code(line, asks):
    assert bool(lines_that_ask_the_locale(line)) is asks


def test_the_locale_decodes_no_file():
    files = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)): lines_that_ask_the_locale(file.read_text(encoding="utf-8")) for file in files}
    assert len(files) > 200
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.fixture
def bpnet(tmp_path, monkeypatch):
    """Called with a command, it runs that in a folder with blanks and umlauts, under the locale C."""
    for name in ("PYTHONUTF8", "PYTHONIOENCODING", "LANG", "LC_CTYPE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / "Fotos für die Übung"
    folder.mkdir()
    with tempfile.TemporaryDirectory() as place, warm_python(Path(place)) as programs:

        def run(command):
            words = [str(programs / "bpnet"), *shlex.split(command)]
            done = subprocess.run(words, cwd=folder, capture_output=True)
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout.decode()

        yield folder, run


@pytest.mark.slow
@pytest.mark.heavy
def test_under_the_locale_c_every_verb_runs_in_a_folder_with_blanks_and_umlauts(bpnet):
    folder, run = bpnet
    write_specs(folder)
    moved = f"--path-map '/workspace={folder}'"
    run("synthesize -o drawn --train 6 --val 2 --size 120,160")
    for photo in sorted((folder / "drawn/images").iterdir()):
        photo.rename(photo.with_name(f"Straße {photo.name}"))
    for file in (folder / "drawn/annotations").iterdir():
        labels = json.loads(file.read_bytes())
        for image in labels["images"]:
            image["file_name"] = f"Straße {image['file_name']}"
        file.write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")
    run(f"spec check coco.json train.yaml infer.yaml {moved}")
    run(f"dataset_convert -d coco.json -o 'data/train' -m train --generate_masks {moved}")
    run(f"train -e train.yaml -r 'Ergebnis 1' {moved}")
    run("prune -m 'Ergebnis 1/bpnet_model.keras' -o 'pruned/kürzer.keras' -eq union -pth 1.5 -pg 2 -nf 2")
    int8 = "--data_type int8 --cal_image_dir drawn/images --batches 2"
    run(f"export -m 'pruned/kürzer.keras' -o kürzer.onnx -d 64,64,3 -t tfonnx {int8}")
    run(f"evaluate -i infer.yaml -d coco.json -m kürzer.onnx -r Maße {moved}")
    pictures = "--input_type dir --input drawn/images -r Funde --dump_visualizations"
    run(f"inference -i infer.yaml -m kürzer.int8.cpu.onnx {pictures}")
    found = json.loads((folder / "Funde/detections.json").read_bytes())["images"]
    photos = {photo.name for photo in (folder / "drawn/images").iterdir()}
    assert {Path(image["full_image_path"]).name for image in found} == photos
    assert len(list((folder / "Funde/images_annotated").iterdir())) == len(photos)
