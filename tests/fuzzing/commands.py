"""Commands: the command line's verbs with hostile files in the place of each kind of file that they read.

What a verb is given is sound but for one file. It must end well or with exit code 2 and one line, and touch nothing
but what it writes to. The list of verbs comes from click.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from click.testing import CliRunner
from fuzzing.bench import CORPUS
from fuzzing.formats.onnx_files import person_file
from fuzzing.mutations import INSIDE, change_bytes, change_member
from fuzzing.parser import ROOT
from fuzzing.parsers import PARSERS
from support.coco_files import JOINTS, dataset_spec
from support.small_chain import write_specs
from support.verb_cases import list_verbs

GOOD = (0, 2, 3)  # ended well, told what is wrong, or did what this machine can
BYTES = ("cut", "drop", "double", "flip", "word", "zero", "random", "splice", "number")
ENTRIES = ("put", "drop", "double", "copy", "rename", "wrap", "empty")
NO_FILE = "reads no file of others"
ELSEWHERE = {
    "clean": "reads names and locks; of files run.json alone, and passes over one that is spoilt",
    "component list": NO_FILE,
    "component show": NO_FILE,
    "demo": "reads photos as dataset_convert does, in a pipeline of its own",
    "doctor": NO_FILE,
    "pipeline compile": NO_FILE,
    "pipeline list": NO_FILE,
    "pipeline run": "reads what pipeline upload and pipeline schedule do",
    "pipeline schedule": "its parameters are texts: the parser 'parameter'",
    "pipeline stop": NO_FILE,
    "pipeline wait": NO_FILE,
    "spec explain": NO_FILE,
    "spec init": NO_FILE,
    "spec schema": NO_FILE,
    "schedule apply": "reads what schedule diff does",
    "synthesize": NO_FILE,
}
SERVER = "--host http://127.0.0.1:1"


@dataclass(frozen=True)
class Command:
    """A verb and the file that is hostile.

    Attributes:
        words: The command; ``{file}`` is the hostile file, ``{given}`` its folder, ``{out}`` where outputs go.
        parser: Whose seeds are changed.
        prepare: Writes what else is read, given the folder and the file.
        heavy: It imports TensorFlow, or takes a second for each file.
        file: What the file is called, if not as the parser has it.
    """

    words: str
    parser: str
    prepare: Callable[[Path, Path], object] | None = None
    heavy: bool = False
    file: str = ""

    @property
    def name(self):
        """How tests call it."""
        return f"{' '.join(self.words.split('-')[0].split('{')[0].split())} {self.parser}"


def _write_person(given, file):
    person_file(given)
    (given / "photos").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests/exports/README.md", given / "photos/notes.txt")
    _write_photo(given / "photos/a.png")


def _write_photo(path):
    import cv2
    import numpy as np

    cv2.imwrite(str(path), np.full((60, 80, 3), 200, np.uint8))


def _write_dataset(part=""):
    """A dataset spec whose annotations are the hostile file, of photos that are there."""

    def write(given, file):
        whole = f"{file.relative_to(given)}{part}"
        spec = dataset_spec(given, train=whole, test=whole, categories=[_person()])
        (given / "spec.json").write_text(spec.model_dump_json(by_alias=True))

    return write


def _person():
    return {"name": "person", "num_joints": 17, "keypoints": JOINTS, "skeleton": []}


def _write_judged(given, file):
    _write_dataset()(given, file)
    _write_person(given, file)


def _put_in_dataset(given, file):
    """A dataset of one photo, the hostile one."""
    from support.coco_files import annotation, document, image, write_annotations

    write_annotations(given / "people.json", document([image(0, name=file.name)], [annotation(0, 0, (5, 5, 40, 60))]))
    spec = dataset_spec(given, train="people.json", test="people.json")
    (given / "spec.json").write_text(spec.model_dump_json(by_alias=True))


def _write_network(given, file):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.files.model_file import save_model

    save_model(pose_net(stages=1, width=2), given / "sound.keras", CARD)


def _write_training(given, file):
    """A training spec that reads the folder of records of the hostile file."""
    write_specs(given)
    text = (given / "train.yaml").read_text()
    records = file.parent if file.parent != given else given
    text = text.replace("/workspace/data", str(records)).replace("/workspace/results/first", str(given / "nowhere"))
    text = text.replace("train_records_path: [train-fold-000-of-001]", "train_records_path: [train]")
    text = text.replace("/workspace/coco.json", str(given / "dataset_spec.json")).replace("drawn:", "coco:")
    (given / "train.yaml").write_text(text)


def _write_start(given, file):
    from support.coco_files import annotation, image, write_dataset

    from bodyposenet.common.data.conversion.convert import convert_dataset

    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(4)]
    spec = write_dataset(given, [image(number) for number in range(4)], people)
    (given / "dataset_spec.json").write_text(spec.model_dump_json(by_alias=True))
    convert_dataset(spec, given / "records/train", processes=1)
    _write_training(given, given / "records/manifest.json")
    text = (given / "train.yaml").read_text()
    (given / "train.yaml").write_text(text.replace("pretrained_weights: null", f"pretrained_weights: {file}"))


CONVERT = "dataset_convert -d {given}/spec.json -o {out}/train"
INT8 = "export -m {given}/sound.keras -o {out}/net.onnx -d 24,32,3 --data_type int8"
COMMANDS = (
    *(Command("spec check {file}", name) for name in (
        "dataset-spec", "train-spec", "inference-spec", "prune-spec", "deploy-spec", "pose-config", "spec-check")),
    Command("spec check {file} --draw {out}/skeleton.png", "pose-config"),
    Command("spec diff {file} {given}/train.yaml", "train-spec", lambda given, file: write_specs(given),
            file="other.yaml"),
    Command("dataset_convert -d {file} -o {out}/train", "dataset-spec"),
    *(Command(CONVERT, name, _write_dataset()) for name in (
        "coco", "coco-zip", "coco-gzip", "cvat", "cvat-video", "label-studio", "datumaro", "crowdpose", "fiftyone")),
    Command(CONVERT, "mpii", _write_dataset()),
    Command(CONVERT, "yolo-yaml", _write_dataset("#train")),
    Command(CONVERT, "photo", _put_in_dataset, file="images/photo.jpg"),
    Command("dataset_convert -d {given}/dataset_spec.json -o {given}/records/train", "manifest"),
    Command("dataset_join {given}/parts/0 {given}/parts/1 -o {out}/train", "manifest-join"),
    Command("sample_calibration -a {file} -i {given}/images -o {out}/photos -n 2 -kth 1", "coco"),
    Command("skeleton fit -d {given}/spec.json -o {out}/prior.json", "coco", _write_dataset()),
    Command("evaluate -d {given}/spec.json -m {given}/person.onnx -r {out}", "coco", _write_judged),
    Command("inference -m {file} --input {given}/photos -r {out}", "onnx-inference", _write_person),
    Command("inference -m {given}/person.onnx --input {file} -r {out}", "photo", _write_person, file="photo.png"),
    Command("inference -m {given}/person.onnx --input {file} -r {out}", "photo", _write_person, file="photo.tif"),
    Command("inference {file} -m {given}/person.onnx -r {out}", "photo", _write_person, file="photo.png"),
    Command("inference -m {given}/person.onnx --input {given}/photos -r {out}", "photo", _write_person,
            file="photos/b.jpg"),
    Command("inference {file} -m {given}/person.onnx -r {out} --save --smooth", "video", _write_person),
    Command("inference -m {given}/person.onnx --input_type json --input {file} -r {out}", "input-list", _write_person),
    Command("inference -m {given}/person.onnx -i {file} --input {given}/photos -r {out}", "inference-spec",
            _write_person),
    Command("prelabel -m {given}/person.onnx --input {file} --format yolo -r {out}", "photo-archive", _write_person),
    Command("bundle --for triton -m {file} -o {out}", "onnx-bundle"),
    Command("bundle --for deepstream -m {file} -o {out} -d 64,96,3", "onnx-bundle"),
    Command("build_engine -m {file} -o {out}/net.engine --engine_for sm86 --input_size 64,96", "onnx-bundle"),
    Command("inference -m {given}/net.engine --input {given}/photos -r {out}", "engine-card", _write_person),
    Command("inference -m {file} --input {given}/photos -r {out} -k tlt_encode", "encrypted", _write_person,
            file="net.etlt"),
    Command("tracking send {given}", "kept-run"),
    Command(f"schedule diff {{given}} {SERVER}", "schedule", heavy=True),
    Command(f"pipeline upload {{file}} {SERVER}", "package", heavy=True),
    Command("export -m {file} -o {out}/net.onnx -d 64,96,3", "keras-model", heavy=True),
    Command(INT8 + " --cal_data_file {file} --batches 1", "tensorfile", _write_network, heavy=True),
    Command(INT8 + " --cal_cache_file {file}", "calibration-cache", _write_network, heavy=True),
    Command("prune -m {file} -o {out}/pruned.keras -pth 0.5 -nf 2 -pg 2", "keras-model", heavy=True),
    Command("prune -m {file} -o {out}/pruned.keras -pth 0.5 -nf 2 -pg 2", "tao-hdf5", heavy=True),
    Command("adopt {file} -o {out}/net.keras", "onnx-keras", heavy=True),
    Command("adopt {file} -o {out}/net.keras", "openvino", heavy=True),
    Command("adopt {file} -o {out}/net.keras", "tao-hdf5", heavy=True),
    Command("train -e {file} -r {out}", "train-spec", heavy=True),
    Command("train -e {given}/train.yaml -r {out}", "manifest", _write_training, heavy=True),
    Command("train -e {given}/train.yaml -r {out}", "keras-weights", _write_start, heavy=True),
)  # fmt: skip


def list_missing():
    """Verbs that no command tries."""
    known = {verb for verb in list_verbs() for command in COMMANDS if f"{command.words} ".startswith(f"{verb} ")}
    return sorted({*list_verbs()} - known - ELSEWHERE.keys())


def change_by_chance(seeds, form, chance):
    """A hostile file as :func:`~fuzzing.mutations.mutated` makes them, by a seed of Python's own."""
    content = chance.choice(seeds)
    tree = [
        (chance.choice(ENTRIES), chance.randrange(1 << 16), chance.randrange(256)) for _ in range(chance.randint(1, 3))
    ]
    raw = [
        (chance.choice(BYTES), chance.randrange(1 << 16), chance.randrange(1 << 16), chance.randrange(256))
        for _ in range(chance.randint(1, 3))
    ]
    if form in INSIDE and chance.random() < 0.7:
        return INSIDE[form](content, tree)
    if form == "zip" and chance.random() < 0.7:
        return change_member(content, chance.randrange(256), tree, raw)
    return change_bytes(content, raw, chance.choice(seeds))


class CommandBench:
    """A command in a folder, run with one hostile file after another.

    Args:
        command: Of ``COMMANDS``.
        folder: An empty one.
    """

    def __init__(self, command, folder):
        self.command, self.folder = command, folder
        self.given, self.out = folder / "given", folder / "out"
        self.given.mkdir()
        parser = PARSERS[command.parser]
        self.form, self.seeds = parser.form, parser.seeds(self.given)
        self.file = self.given / (command.file or parser.file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(self.seeds[0])
        if command.prepare:
            command.prepare(self.given, self.file)
        (folder / "victim.txt").write_text("precious")
        corpus = CORPUS / command.parser
        self.kept = sorted(corpus.iterdir()) if corpus.is_dir() else []

    def make(self, number):
        """The hostile file of a number: first those of the corpus."""
        if number < len(self.kept):
            return self.kept[number].read_bytes()
        return change_by_chance(self.seeds, self.form, random.Random(f"{self.command.name} {number}"))

    def run(self, content):
        """Run the command; returns the exit code and what is wrong with how it ended."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        before = {path: path.stat().st_mtime_ns for path in self.given.rglob("*") if path.is_file()}
        self.file.write_bytes(content)
        before[self.file] = self.file.stat().st_mtime_ns
        store = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1" if self.command.parser == "kept-run" else ""}
        words = self.command.words.format(file=self.file, given=self.given, out=self.out).split()
        with mock.patch.dict(os.environ, store):
            done = CliRunner().invoke(_main(), words)
        wrong = list(_judge(done))
        changed = [path for path, when in before.items() if not path.exists() or path.stat().st_mtime_ns != when]
        own = "{given}/records/train" in self.command.words  # there the outputs are
        if changed and not own:
            wrong.append(f"touched {changed}")
        if (self.folder / "victim.txt").read_text() != "precious" or {p.name for p in self.folder.iterdir()} - {
            "given", "out", "victim.txt"}:  # fmt: skip
            wrong.append("touched what is outside")
        return done.exit_code, wrong


def _main():
    from bodyposenet.common.cli.main import main

    return main


def _judge(done):
    """Say what is wrong with how a command ended."""
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        yield f"raised {done.exception!r}"
    if done.exit_code not in GOOD:
        yield f"exit code {done.exit_code}: {done.output[-500:]}"
    if "Traceback (most recent call last)" in done.output:
        yield f"a traceback: {done.output[-800:]}"
    if odd := sorted({each for each in done.output if not each.isprintable() and each not in "\n\t\r"}):
        yield f"control characters {odd}"
    told = [line for line in done.output.splitlines() if line.startswith("error: ")]
    if len(told) > 1:
        yield f"{len(told)} errors: {told}"
