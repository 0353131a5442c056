"""Leftovers: what a run leaves, and a later one reads."""

import json
import shutil
from dataclasses import asdict

import yaml
from fuzzing.mutations import pack
from fuzzing.parser import Parser, json_files
from support.coco_files import annotation, image, write_dataset
from support.spec_files import TRAIN
from support.tool_files import write_files


def kept_runs(folder):
    start = {"name": "verb", "pipeline": "", "time": 1, "run_id": "", "owned": True}
    events = [
        {"op": "params", "values": {"spec.a": "1"}, "whole": {}},
        {"op": "metrics", "values": [["loss", 0.5, 1, 0]]},
        {"op": "artifact", "path": "files/a/b.txt", "folder": "spec"},
        {"op": "tags", "values": {"a": "b"}},
        {"op": "dataset", "name": "a", "digest": "0", "source": "b", "profile": {}, "context": "training"},
        {"op": "end", "status": "FINISHED", "time": 2},
    ]
    write_files(folder / "tracking_buffer/verb-0", {"files/a/b.txt": "b"})
    return ["".join(json.dumps(line) + "\n" for line in (start, *events)).encode()]


def _kept_run(path):
    from bodyposenet.common.tracking.offline_buffer import read_kept

    read_kept(path.parent)


def progress_files(folder):
    return json_files(["0123", 2])


def _sent(path):
    from bodyposenet.common.tracking.offline_buffer import read_progress

    read_progress(path)


def journals(folder):
    (folder / ".net.onnx.staging").mkdir(exist_ok=True)
    return json_files({"publish": ["net.onnx", "a/b.json"], "wrote": ["net.onnx"]})


def _journal(path):
    from bodyposenet.common.storage.together import Together, is_unfinished

    output = path.parent / "net.onnx"
    is_unfinished(output)
    content = path.read_bytes()
    with Together(output):
        pass
    path.write_bytes(content)


def _make_hold_out(folder):
    """Make a hold-out's two files, the digest of the one in the other."""
    from bodyposenet.common.data.hold_out import write_hold_out
    from bodyposenet.common.data.photo_set import keep_test_half

    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(3)]
    spec = write_dataset(folder / "set", [image(number) for number in range(4)], people)
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    kept = keep_test_half(spec, data)
    (data / "dataset_spec.json").write_text(kept.model_dump_json(by_alias=True))
    made = write_hold_out(data, folder / "sound")
    for path in (made.photos, made.archive):
        shutil.copy(path, folder / path.name)
    return made


def hold_outs(folder):
    return [_make_hold_out(folder).photos.read_bytes()]


def _hold_out(path):
    from bodyposenet.common.data.hold_out import open_hold_out, read_photos

    folder = path.parent
    read_photos(folder / "photos.json")
    try:
        open_hold_out(folder / "photos.json", folder / "hold_out.zip", folder / "out")
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)


def hold_out_archives(folder):
    """Of any archive the digest is right: the list of photos may come from the same hands."""
    return [_make_hold_out(folder).archive.read_bytes()]


def _hold_out_archive(path):
    """The list of photos tells the archive's digest: it comes from the same hands."""
    from bodyposenet.common.storage.digests import digest_file

    listed = path.parent / "photos.json"
    told = json.loads(listed.read_text(encoding="utf-8"))
    listed.write_text(json.dumps(told | {"archive_sha256": digest_file(path)}), encoding="utf-8")
    _hold_out(path)


def snapshots(folder):
    return [pack({"model.epoch-1.keras": b"network", "history.json": b"[]", "a/b.json": b"{}"}), pack({"../c": b"x"})]


def _snapshot(path):
    from bodyposenet.common.storage.digests import digest_file
    from bodyposenet.common.storage.location import locate
    from bodyposenet.common.storage.snapshots import Snapshots

    place, folder = path.parent / "place", path.parent / "restored"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    shutil.copy(path, place / f"00000001-0123abcd-{digest_file(path)[:32]}.zip")
    try:
        Snapshots(locate(place)).restore(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def batch_parts(folder):
    entry = {
        "full_image_path": "a.png",
        "scores": [0.5],
        "keypoints": [[1, 2, 0.5]],
        "image_meta": {"file_name": "a.png"},
    }
    return ["".join(json.dumps(line) + "\n" for line in (entry, entry | {"scores": []}, {"problem": "torn"})).encode()]


def _parts(path):
    from bodyposenet.common.inference.batch import BatchInference, Parts
    from bodyposenet.common.storage.location import locate

    parts = Parts(locate(path.parents[1]), "0123456789abcdef")
    found = BatchInference(locate(path.parent))
    for number in sorted(parts.done()):
        for entry, _ in parts.read(number):
            found.count(entry)


def pointers(folder):
    return json_files({"source": "/data/photos"}, {"source": "gs://bucket/photos"})


def _pointer(path):
    from bodyposenet.common.data.photo_set import photos_in

    photos_in(path.parent)


def _train_spec():
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import TrainSpec

    return parse_spec(yaml.safe_load(TRAIN), TrainSpec)


def histories(folder):
    entry = {"epoch": 1.0, "loss": 0.5, "val_ap": 0.1, "learning_rate": 1e-3}
    return json_files([entry, entry | {"epoch": 2.0, "loss": 0.25}])


def _training_page(path):
    from bodyposenet.common.report.training_page import write_training_page

    write_training_page(path.parent / "page.html", path.parent, _train_spec(), precision="float32")


def precisions(folder):
    from bodyposenet.common.model.training.precision import PrecisionChoice

    return json_files(asdict(PrecisionChoice("float32", "asked for")))


def _precision(path):
    from bodyposenet.common.model.training.precision import read_precision

    read_precision(path.parent)


def start_notes(folder):
    from bodyposenet.common.tracking.start_weights import StartWeights

    return json_files(
        {"wish": "models:/a@champion", "start": asdict(StartWeights("pretrained:people", "there is no champion"))}
    )


def _start_note(path):
    from bodyposenet.common.steps.start_weights import recall_start

    recall_start(path.parent, "models:/a@champion")


def choices(folder):
    from bodyposenet.common.deploy.runtime.runner_choice import Choice, Trial

    trials = (Trial("exact", 5.0, 0.0), Trial("openvino", 2.0, 1e-6))
    return json_files(asdict(Choice("openvino", "OpenVINO, float32", "AVX2", trials, "exact", (64, 96))))


def _choice(path):
    from bodyposenet.common.deploy.runtime.choice_cache import parse_choice

    parse_choice(path)


def demo_runs(folder):
    return json_files({"name": "demo-1", "asked": "0123", "done": False})


def _demo_run(path):
    from bodyposenet.pipelines.here.past import mark_complete, name_run

    content = path.read_bytes()
    name_run(path.parent, {"a": 1})
    path.write_bytes(content)
    mark_complete(path.parent)


def progress_notes(folder):
    return json_files({"what": "train", "done": 3, "of": 10, "more": ""})


def _progress_note(path):
    from bodyposenet.common.machine.bar import read_note

    read_note(path)


PARSERS = (
    Parser("kept-run", kept_runs, _kept_run, "tracking_buffer/verb-0/run.jsonl", "jsonl"),
    Parser("kept-progress", progress_files, _sent, "sent.json", "json"),
    Parser("journal", journals, _journal, ".net.onnx.journal", "json"),
    Parser("hold-out", hold_outs, _hold_out, "photos.json", "json"),
    Parser("hold-out-archive", hold_out_archives, _hold_out_archive, "hold_out.zip", "zip"),
    Parser("snapshot", snapshots, _snapshot, "snapshot.zip", "zip"),
    Parser("batch-part", batch_parts, _parts, "parts-0123456789abcdef/000000.jsonl", "jsonl"),
    Parser("photo-pointer", pointers, _pointer, "source.json", "json"),
    Parser("history", histories, _training_page, "history.json", "json"),
    Parser("precision", precisions, _precision, "precision.json", "json"),
    Parser("start-note", start_notes, _start_note, "start.json", "json"),
    Parser("runner-choice", choices, _choice, "choice.json", "json"),
    Parser("demo-run", demo_runs, _demo_run, "run.json", "json"),
    Parser("progress-note", progress_notes, _progress_note, "note.json", "json"),
)
