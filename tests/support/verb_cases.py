"""Verb cases: every verb of the command line with a tiny input, to be killed, put on full disks, and run again.

A verb that changes no file here stands in ``WRITES_NOTHING`` with the reason. :func:`list_verbs` asks click which verbs
there are; one that is in neither table has no case, which fails the suite.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import click

HISTORY, STATE = "history.json", "training.json"  # of a training, and members of its checkpoints
PASSING = ("seconds", "images_per_second", "training")
NETWORK, PERSON, SHAPE = "net.keras", "person.onnx", "64,96,3"
SERVER = "asks a server, and writes nothing here"
PRINTS = "prints only"
WRITES_NOTHING = {
    "component list": PRINTS,
    "component show": PRINTS,
    "doctor": PRINTS + "; what --warm compiles is numba's to keep",
    "spec check": PRINTS + "; the picture of --draw appears whole",
    "spec diff": PRINTS,
    "spec explain": PRINTS,
    "pipeline list": SERVER,
    "pipeline schedule": SERVER,
    "pipeline stop": SERVER,
    "pipeline upload": SERVER,
    "pipeline wait": SERVER,
    "schedule apply": SERVER,
    "schedule diff": SERVER,
}
ELSEWHERE = {
    "demo": "chaos_demo.py kills whole demos",
    "pipeline run": "chaos_demo.py: without a NAME it is the demo, with one a server does it",
}


@dataclass(frozen=True)
class VerbCase:
    """A verb with its input.

    Attributes:
        verb: Its words.
        words: Further arguments; ``{given}`` is the folder of inputs, ``{out}`` that of the outputs.
        prepare: Puts what must be there before into the folder of outputs.
        form: Tells several cases of a verb apart.
        grows: Patterns of what may be there while the verb has not ended, or hold less than at last.
        ignored: Patterns of what differs from run to run: clocks.
        reads: Outputs that it reads if they are there already.
        refuses: It replaces nothing that is there already, or goes on with that.
        variables: Of its environment.
        look: What the outputs say, for comparison; by default every file's content.
    """

    verb: str
    words: str
    prepare: Callable[[Path, Path], None] | None = None
    form: str = ""
    grows: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ("status.json",)
    reads: tuple[str, ...] = ()
    refuses: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    look: Callable[[Path], dict[str, object]] | None = None

    @property
    def name(self):
        """How reports call it."""
        return f"{self.verb} {self.form}".strip()

    def command(self, given, out):
        """The arguments of ``bpnet``."""
        return [*self.verb.split(), *self.words.format(given=given, out=out).split()]


def list_verbs():
    """The words of every verb that click knows."""
    from bodyposenet.common.cli.main import main

    return sorted(_leaves(main, ()))


def _leaves(command, words):
    if not isinstance(command, click.Group):
        return [" ".join(words)]
    context = click.Context(command)
    found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
    return [leaf for name, below in found for leaf in _leaves(below, (*words, name))]


def list_missing():
    """Verbs without a case."""
    known = {case.verb for case in CASES} | WRITES_NOTHING.keys() | ELSEWHERE.keys()
    return sorted({*list_verbs()} - known)


def draw_given(given):
    """Write the inputs of the cases that run no network."""
    from support.small_chain import write_specs

    from bodyposenet.common.data.synthetic.dataset import synthesize

    synthesize(given / "drawn", train=6, val=3, size=(120, 160))
    write_specs(given)
    _write_many(given)


def make_given(given):
    """Write the inputs of all cases; TensorFlow runs in the process that does this."""
    import cv2
    from support.clips import write_clip
    from support.person_net import BRIGHT, DARK, write_network
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.data.conversion.convert import convert_dataset
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.model.files.model_file import save_model
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    draw_given(given)
    drawn = load_spec(given / "coco.json", DatasetSpec, path_map=[("/workspace", str(given))])
    for name, mode in (("train", "train"), ("val", "test")):
        convert_dataset(drawn, given / "data" / name, mode=mode)
    for part in range(2):
        convert_dataset(drawn, given / f"parts/{part}/train", shards=(1, 4), part=(part, 2))
    save_model(pose_net(stages=1), given / NETWORK, CARD)
    export_onnx(given / NETWORK, given / "net.onnx")
    _write_foreign(given / "tao.onnx")
    write_network(given / PERSON)
    (given / "photos").mkdir()
    for number in range(3):
        cv2.imwrite(str(given / f"photos/{number}.png"), DARK if number == 1 else BRIGHT)
    write_clip(given / "clip.avi", [BRIGHT, BRIGHT, DARK, BRIGHT])
    _write_training(given)


def _write_many(given):
    """Annotations of people enough to fit their build to; no photo is looked at for that."""
    from support.coco_files import annotation, dataset_spec, document, image, write_annotations

    boxes = [(10, 10, 30 + number, 60 + number % 7) for number in range(40)]
    people = [annotation(number, number, box) for number, box in enumerate(boxes)]
    root = given / "many"
    write_annotations(root / "annotations/people.json", document([image(number) for number in range(40)], people))
    (given / "many.json").write_text(dataset_spec(root).model_dump_json(by_alias=True))


def _write_foreign(path):
    """A narrow network in the form of NVIDIA's parser."""
    from support.networks import SHORT, network

    from bodyposenet.common.deploy.export.interface import Interface, change_interface
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.model.files.model_file import save_model
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

    save_model(network(BODYPOSENET_18, **SHORT), path.with_suffix(".keras"), Card(BODYPOSENET_18))
    export_onnx(path.with_suffix(".keras"), path)
    change_interface(path, Interface(sdk_ratio=4))


def _write_training(given):
    """A training that ends with the same bits each time, and has a checkpoint to remove."""
    from support.spec_files import changed

    text = (given / "train.yaml").read_text()
    often = (
        ("/workspace/results/first", str(given / "nowhere")),
        ("num_epoch: 1\n", "num_epoch: 3\ndeterministic: true\n"),
        ("max_ckpt_to_keep: 100", "max_ckpt_to_keep: 2"),
    )
    (given / "train.yaml").write_text(changed(text, *often))


def _keep_run(given, out):
    """A store of its own, and a run that was kept while it was away."""
    from bodyposenet.common.tracking import events
    from bodyposenet.common.tracking.offline_buffer import Buffer, Start

    buffer = Buffer(out, Start("train", time=1_700_000_000_000))
    buffer.keep(events.params({"one": 1, "two": 2}, "spec"))
    buffer.keep(events.metrics([(1, {"loss": 0.5}), (2, {"loss": 0.25})]))
    buffer.keep(events.artifact(given / "coco.json", "spec"))
    buffer.keep({"op": "end", "status": "FINISHED", "time": 1_700_000_100_000})
    _copy_store(given, out)


def _leave(given, out):
    """What killed runs have left, and what is not to go."""
    from support.leftovers import (
        leave_conversion,
        leave_kept_run,
        leave_parts,
        leave_snapshots,
        leave_staging,
        leave_temporary,
        write_checkpoint,
    )

    for leave in (leave_conversion, leave_kept_run, leave_parts, leave_snapshots, leave_staging, leave_temporary):
        leave(out)
    for epoch in range(1, 4):
        write_checkpoint(out, epoch)


def _copy_store(given, out):
    """A database with MLflow's tables, which take long to make."""
    if not (given / "mlflow.db").exists():
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=f"sqlite:///{given}/mlflow.db").search_experiments()
    (out / "store").mkdir()
    shutil.copy(given / "mlflow.db", out / "store/mlflow.db")


def _tell_runs(out):
    """What a store has, without ids, and whether anything is still to be sent."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{out}/store/mlflow.db")
    ids = [each.experiment_id for each in client.search_experiments()]
    runs = [
        json.dumps([run.info.run_name, run.info.status, run.data.params, _list_artifacts(client, run)])
        for run in client.search_runs(ids)
    ]
    left = [str(path.relative_to(out)) for path in (out / "tracking_buffer").rglob("*")]
    return {"runs": sorted(runs), "left": sorted(left)}


def _read_spec(out):
    """A spec file, without the command in its second line, which names the file."""
    return {path.name: path.read_text().splitlines()[2:] for path in out.glob("*.yaml")}


def _list_artifacts(client, run):
    found = [file.path for each in client.list_artifacts(run.info.run_id) for file in client.list_artifacts(
        run.info.run_id, each.path)]  # fmt: skip
    return sorted(found)


def digest(path):
    """A file's content, without what a network, a checkpoint and a history say of the time, and of which run it was."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return {info.filename: _tell_member(archive, info) for info in archive.infolist()}
    if path.name == HISTORY:
        return _leave_out(json.loads(path.read_text()))
    return sha256(path.read_bytes()).hexdigest()


def _tell_member(archive, info):
    if info.filename in (HISTORY, STATE):
        return _leave_out(json.loads(archive.read(info)))
    return info.CRC if info.filename != "metadata.json" else None


def _leave_out(value):
    """JSON data without what differs from run to run."""
    if isinstance(value, list):
        return [_leave_out(each) for each in value]
    return {key: each for key, each in value.items() if key not in PASSING}


PATHS = "--path-map /workspace={given}"
JUDGED = "-m {given}/person.onnx -r {out}"
CASES = (
    VerbCase("adopt", "{given}/tao.onnx --as tao-bodyposenet -o {out}/adopted.keras", refuses=True),
    VerbCase("build_engine", "-m {given}/net.onnx -o {out}/net.engine --engine_for sm86 --input_size 64,96"),
    VerbCase("bundle", "--for deepstream -m {given}/net.onnx -o {out}/served -d 64,96,3", form="deepstream"),
    VerbCase("bundle", "--for triton -m {given}/net.onnx -o {out}/served", form="triton"),
    VerbCase("clean", "{out} --older_than 0s --keep 1 --delete", prepare=_leave),
    VerbCase("dataset_convert", "-d {given}/coco.json -o {out}/train -s 2 --split 0.4 " + PATHS, form="split",
             reads=("manifest.json",)),
    VerbCase("dataset_join", "{given}/parts/0 {given}/parts/1 -o {out}/train", reads=("manifest.json",)),
    VerbCase("evaluate", f"-d {{given}}/coco.json --suspects {JUDGED} {PATHS}"),
    VerbCase("export", "-m {given}/net.keras -o {out}/net.onnx -d " + SHAPE + " --data_type fp16", refuses=True),
    VerbCase("inference", f"--input {{given}}/photos {JUDGED} --dump_visualizations"),
    VerbCase("inference", f"{{given}}/photos {JUDGED}", form="pictures"),
    VerbCase("inference", f"{{given}}/clip.avi --save --smooth {JUDGED}", form="video", grows=("*.jsonl",)),
    VerbCase("pipeline compile", "-o {out}/compiled"),
    VerbCase("prelabel", f"--input {{given}}/photos --format yolo --copy_photos {JUDGED}", form="yolo",
             grows=("parts-*",)),
    VerbCase("prelabel", f"--input {{given}}/photos --format label-studio {JUDGED}", form="studio",
             grows=("parts-*",)),
    VerbCase("prune", "-m {given}/net.keras -o {out}/pruned.keras -pth 0.5 -pg 2 -nf 2"),
    VerbCase("sample_calibration",
             "-a {given}/drawn/annotations/person_keypoints_train.json -i {given}/drawn/images -o {out}/photos -n 4 "
             "-kth 1", refuses=True),
    VerbCase("skeleton fit", "-d {given}/many.json -o {out}/prior.json"),
    VerbCase("spec init", "train -o {out}/train.yaml", refuses=True, look=_read_spec),
    VerbCase("spec schema", "-o {out}/schemas"),
    VerbCase("synthesize", "-o {out}/drawn --train 4 --val 2 --size 120,160"),
    VerbCase("tracking send", "{out}", prepare=_keep_run, look=_tell_runs,
             variables={"MLFLOW_TRACKING_URI": "sqlite:///{out}/store/mlflow.db"}),
    VerbCase("train", "-e {given}/train.yaml -r {out} " + PATHS, grows=("*",),
             ignored=("status.json", "events.out.*"), refuses=True),
)  # fmt: skip
