"""Parsers: every kind of file and text that the project reads of others, with sound ones and what reads it.

A parser returns or raises a ``UserError``. ``SEEDS`` has what makes sound files, ``PARSERS`` what they are given to.
Files that belong together lie in one folder, of which one file is changed at a time: the last in ``Parser.file``.
"""

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing import seeds


@dataclass(frozen=True)
class Parser:
    """What reads a kind of file.

    Attributes:
        name: By which it is asked for, and its finds are kept.
        seeds: Makes sound contents, given an empty folder for what the parser reads beside the file.
        parse: Reads the file at a path.
        file: What the file is called.
        form: As of :func:`~fuzzing.mutations.mutated`.
        heavy: Importing what it takes is seconds of processor time: only ``make fuzz`` and ``make test-heavy`` do.
        sound: Whether the seeds are all read; else some of them are refused.
    """

    name: str
    seeds: Callable[[Path], list[bytes]]
    parse: Callable[[Path], object]
    file: str = "file"
    form: str = ""
    heavy: bool = False
    sound: bool = True


def _spec(kind):
    def parse(path):
        from bodyposenet.common.spec import dataset, deploy, inference, pose_config, prune, train
        from bodyposenet.common.spec.base import load_spec
        from bodyposenet.common.spec.kinds import describe, notes

        models = {
            "train": train.TrainSpec, "dataset": dataset.DatasetSpec, "inference": inference.InferenceSpec,
            "prune": prune.PruneSpec, "pose": pose_config.PoseConfig, "deploy": deploy.DeploySpec,
        }  # fmt: skip
        spec = load_spec(path, models[kind])
        describe(spec)
        notes(spec)
        if kind == "dataset":
            spec.locate_half("test")
            if spec.split is not None:
                spec.split.holds_out("a/b.jpg")

    return parse


def _check_spec(path):
    from click.testing import CliRunner

    from bodyposenet.common.cli.main import main

    done = CliRunner().invoke(main, ["spec", "check", str(path)], catch_exceptions=False)
    assert done.exit_code in (0, 2), done.output
    assert done.output.isprintable() or set(done.output) - {"\n", "\t"} <= set(filter(str.isprintable, done.output))


def _skeleton(path):
    from bodyposenet.common.spec.pose_config import load_skeleton

    load_skeleton(path)


def _prior(path):
    from bodyposenet.common.skeleton.skeleton import load_prior

    load_prior(path, seeds.PRIOR_JOINTS)


def _settings(path):
    from bodyposenet.common.spec.base import validate
    from bodyposenet.common.spec.document import parse_document
    from bodyposenet.common.spec.inference import InferenceSpec

    validate(parse_document(path.read_bytes().decode(errors="surrogateescape"), "the form"), InferenceSpec)


def _annotations(joints=None, part=""):
    def parse(path):
        from bodyposenet.common.data.annotations.album import Album
        from bodyposenet.common.data.annotations.coco import read_annotations
        from bodyposenet.common.storage.location import locate

        place = path.parent if part is None else path
        read_annotations(f"{place}{part or ''}", joints, strict=False, album=Album(locate(path.parent / "images")))

    return parse


def _dataset_folder(part):
    """Annotations that are several files: of the folder, whichever of them was changed."""

    def parse(path):
        from bodyposenet.common.data.annotations.album import Album
        from bodyposenet.common.data.annotations.coco import read_annotations
        from bodyposenet.common.storage.location import locate

        root = next(folder for folder in (path.parent, *path.parents) if (folder / "images").is_dir())
        read_annotations(f"{root}{part}", None, strict=False, album=Album(locate(root / "images")))

    return parse


def _photo(path):
    from bodyposenet.common.errors import UserError
    from bodyposenet.common.imaging.headers import read_header_size
    from bodyposenet.common.imaging.near_duplicates import hash_picture
    from bodyposenet.common.imaging.photo import decode_image, read_image
    from bodyposenet.common.imaging.pixels import decode_grey, decode_size, describe_fault, is_whole
    from bodyposenet.common.storage.location import locate

    data = path.read_bytes()
    for read in (read_header_size, decode_grey, decode_size, describe_fault, is_whole, hash_picture):
        read(data)
    try:
        decode_image(data, where="photo")
    except UserError:
        read_image(locate(path))


def _video(path):
    from bodyposenet.common.video.clip import open_clip

    with open_clip(str(path)) as clip:
        for frame in clip.read(most=100):
            assert frame.pixels.shape[2] == 3


def _orientation(path):
    from bodyposenet.common.imaging.orientation import choose_turn, drop_orientation, read_orientation

    data = path.read_bytes()
    assert 1 <= read_orientation(data) <= 8
    assert read_orientation(drop_orientation(data)) == 1
    choose_turn(data, (20, 30), (30, 20), "shown")


def _bitmap(path):
    from bodyposenet.common.imaging.bitmask_png import read_bitmap

    read_bitmap(path.read_bytes())


def _photo_archive(path):
    from bodyposenet.common.storage.photo_store import open_photos

    store = open_photos(path)
    for name in [*store.listing()][:20]:
        store.read(name)


def _manifest(path):
    from bodyposenet.common.data.records.manifest import open_shards, read_manifest
    from bodyposenet.common.tracking.datasets import describe_records

    names = [*read_manifest(path.parent)["sets"]] or ["train"]
    for shard in open_shards(path.parent, names):
        shard.samples  # noqa: B018
        for number in range(len(shard)):
            shard[number]
    describe_records(path.parent, names, "training")


def _join(path):
    from bodyposenet.common.data.conversion.join import join_parts

    out = path.parents[2] / "joined"
    try:
        join_parts([path.parent, path.parents[1] / "1"], out / "train")
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _renewal(path):
    """A conversion to a folder whose manifest is a stranger's."""
    from bodyposenet.common.data.conversion.convert import convert_dataset
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    root = path.parents[1]
    spec = load_spec(root / "dataset_spec.json", DatasetSpec)
    out = root / "again"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(path.parent, out)
    convert_dataset(spec, out / "train", processes=1)


def _shard(path):
    from bodyposenet.common.data.records.manifest import open_shards

    for shard in open_shards(path.parent, [path.name]):
        for number in range(len(shard)):
            shard[number]


def _record(path):
    from bodyposenet.common.data.loading.decoding import decode_photo
    from bodyposenet.common.data.records.record import Record

    record = Record.from_bytes(path.read_bytes())
    record.centers, record.scales  # noqa: B018
    decode_photo(record)


def _training_batches(path):
    from bodyposenet.common.data.loading.record_source import RecordSource  # noqa: F401
    from bodyposenet.common.model.training.plan import make_plan
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.train import TrainSpec

    make_plan(load_spec(path, TrainSpec))


def _card_of_keras(path):
    from bodyposenet.common.model.files.model_file import read_card

    read_card(path)


def _keras_model(path):
    from bodyposenet.common.deploy.runtime.runners import open_runner

    open_runner(path)


def _weights(path):
    from bodyposenet.common.model.files.weights_file import read_weights

    read_weights(path)


def _tao_network(path):
    from bodyposenet.common.adopt.read_tao import read_tao
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

    read_tao(path, BODYPOSENET_18)


def _checkpoint_state(path):
    from bodyposenet.common.model.training.checkpoints import TrainingState, checkpoints_in, find_precision, read_state
    from bodyposenet.common.model.training.own_checkpoints import OwnCheckpoints

    checkpoints_in(path.parent)
    find_precision(path.parent, 5)
    OwnCheckpoints(path.parent, TrainingState(epoch=9), most=2, epochs=9)
    assert read_state(path).place >= (0, 0)


def _checkpoint(path):
    from bodyposenet.common.model.training.checkpoints import newest_checkpoint

    newest_checkpoint(path.parent, 5)


def _onnx_card(path):
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model, require_outputs

    model = read_model(path)
    card_of_model(model, path)
    require_outputs([output.name for output in model.graph.output], path)


def _bundles(path):
    from bodyposenet.common.deploy.export.serving_bundle import deepstream_bundle, triton_bundle
    from bodyposenet.common.errors import UserError

    out = path.parent / "bundle"
    try:
        for write in (deepstream_bundle, triton_bundle):
            for peaks in (0, 5):
                try:
                    write(path, out, peaks=peaks)
                except UserError:
                    continue
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _runner(path):
    import numpy as np

    from bodyposenet.common.deploy.runtime.runners import open_runner

    runner = open_runner(path, runner="exact", threads=1)
    stride = runner.card.stride
    if stride <= 64:
        runner(np.zeros((1, 128 // stride * stride, 128 // stride * stride, 3), np.float32))


def _inference(path):
    """A photo through a stranger's network, card and all, to people."""
    import numpy as np

    from bodyposenet.common.inference.detector import find_people, open_model

    runner, spec = open_model(path, None, "cpu", "exact")
    find_people(runner, np.zeros((60, 80, 3), np.uint8), spec)


def _quantized(path):
    from bodyposenet.common.deploy.quantization.quantize import quantize_with_cache

    try:
        quantize_with_cache(path.parent / "net.onnx", path, path.parent / "out/net.int8.onnx")
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def _quantize_network(path):
    import numpy as np

    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    try:
        quantize_int8(path, [np.zeros((1, 64, 96, 3), np.float32)], path.parent / "out/net.int8.onnx", method="minmax")
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def _export_forms(path):
    """What export makes of an ONNX file: half precision, other inputs."""
    from bodyposenet.common.deploy.export.fp16 import export_half
    from bodyposenet.common.deploy.export.interface import Interface, change_interface
    from bodyposenet.common.errors import UserError

    content = path.read_bytes()
    for change in (
        lambda: export_half(path, path.parent / "out.fp16.onnx"),
        lambda: change_interface(path, Interface(pixels=True, batch=2, size=(64, 96))),
        lambda: change_interface(path, Interface(sdk_ratio=4)),
    ):
        try:
            change()
        except UserError:
            continue
        finally:
            path.write_bytes(content)


def _foreign_graph(path):
    from bodyposenet.common.adopt.adopt import read_graph
    from bodyposenet.common.adopt.conventions import find_convention, pick_maps, take_feeding
    from bodyposenet.common.adopt.graph import drop_quantization, merge_biases

    graph = read_graph(path)
    find_convention(graph, None, where=str(path))
    graph = merge_biases(drop_quantization(graph))
    graph, _ = pick_maps(graph, 18, 19, where=str(path))
    take_feeding(graph)


def _adopt(path):
    from bodyposenet.common.adopt.adopt import adopt

    adopt(path)


def _engine(path):
    from bodyposenet.common.deploy.tensorrt.engine_file import read_engine

    read_engine(path.parent / "net.engine")


def _tensorfile(path):
    from bodyposenet.common.deploy.quantization.calibration_images import from_tensorfile

    for _ in from_tensorfile(path, (24, 32)):
        pass


def _cache(path):
    from bodyposenet.common.deploy.quantization.tensorrt_cache import parse_cache
    from bodyposenet.common.storage.files import read_bytes

    parse_cache(read_bytes(path).decode(errors="replace"))


def _counts(path):
    from bodyposenet.common.deploy.quantization.histograms import threshold
    from bodyposenet.common.deploy.quantization.observer import Saved

    for found in Saved(path, seeds.COUNTS_KEY).read().histograms.values():
        threshold(found, "entropy", levels=128)


def _encrypted(path):
    from bodyposenet.common.storage.model_key import open_model_file, using_key

    with using_key(seeds.KEY), open_model_file(path) as file:
        file.read()


def _tao_encrypted(path):
    from bodyposenet.common.storage.tao_encryption import decrypt_tao, is_tao_encrypted

    if is_tao_encrypted(path):
        decrypt_tao(path, path.parent, seeds.KEY)


def _key_file(path):
    from bodyposenet.common.cli.options import _find_key

    _find_key(None, str(path))


def _kept_run(path):
    from bodyposenet.common.tracking.offline_buffer import read_kept

    read_kept(path.parent)


def _sent(path):
    from bodyposenet.common.tracking.offline_buffer import read_progress

    read_progress(path)


def _journal(path):
    from bodyposenet.common.storage.together import Together, is_unfinished

    output = path.parent / "net.onnx"
    is_unfinished(output)
    content = path.read_bytes()
    with Together(output):
        pass
    path.write_bytes(content)


def _hold_out(path):
    from bodyposenet.common.data.hold_out import open_hold_out, read_photos

    folder = path.parent
    read_photos(folder / "photos.json")
    try:
        open_hold_out(folder / "photos.json", folder / "hold_out.zip", folder / "out")
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)


def _hold_out_archive(path):
    """The list of photos tells the archive's digest: it comes from the same hands."""
    from bodyposenet.common.storage.digests import digest_file

    listed = path.parent / "photos.json"
    told = json.loads(listed.read_text(encoding="utf-8"))
    listed.write_text(json.dumps(told | {"archive_sha256": digest_file(path)}), encoding="utf-8")
    _hold_out(path)


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


def _input_list(path):
    from bodyposenet.common.inference.inference import list_photos
    from bodyposenet.common.storage.location import locate

    list_photos("json", locate(path), locate(path.parent))


def _parts(path):
    from bodyposenet.common.inference.batch import BatchInference, Parts
    from bodyposenet.common.storage.location import locate

    parts = Parts(locate(path.parents[1]), "0123456789abcdef")
    found = BatchInference(locate(path.parent))
    for number in sorted(parts.done()):
        for entry, _ in parts.read(number):
            found.count(entry)


def _pointer(path):
    from bodyposenet.common.data.photo_set import photos_in

    photos_in(path.parent)


def _training_page(path):
    from bodyposenet.common.report.training_page import write_training_page

    write_training_page(path.parent / "page.html", path.parent, seeds.train_spec(), precision="float32")


def _precision(path):
    from bodyposenet.common.model.training.precision import read_precision

    read_precision(path.parent)


def _start_note(path):
    from bodyposenet.common.steps.start_weights import recall_start

    recall_start(path.parent, "models:/a@champion")


def _choice(path):
    from bodyposenet.common.deploy.runtime.choice_cache import parse_choice

    parse_choice(path)


def _demo_run(path):
    from bodyposenet.pipelines.here.past import mark_complete, name_run

    content = path.read_bytes()
    name_run(path.parent, {"a": 1})
    path.write_bytes(content)
    mark_complete(path.parent)


def _progress_note(path):
    from bodyposenet.common.machine.bar import read_note

    read_note(path)


def _address(path):
    from bodyposenet.common.plain_text import bare_address, clean_message
    from bodyposenet.common.storage.files import find_bytes
    from bodyposenet.common.storage.location import locate

    text = path.read_bytes().decode(errors="surrogateescape")
    clean_message(text)
    bare_address(text)
    place = locate(text)
    place / "below", place.name, place.parent, place.suffix, str(place)
    if not place.remote:
        find_bytes(place)


def _tracking_address(path):
    from bodyposenet.common.plain_text import hide_secrets
    from bodyposenet.common.tracking.mlflow_store import tracking_uri

    text = path.read_bytes().decode(errors="replace").replace("\0", "")
    with _variable("MLFLOW_TRACKING_URI", text):
        hide_secrets(tracking_uri() or "")


def _network_name(path):
    from bodyposenet.common.model.files.bundled import is_registered, runnable_path, weights_path
    from bodyposenet.common.tracking.model_names import require_model_name
    from bodyposenet.common.tracking.start_weights import parse_reference

    text = path.read_bytes().decode(errors="surrogateescape")
    for read in (weights_path, runnable_path, require_model_name, parse_reference):
        try:
            is_registered(text)
            read(text)
        except seeds.user_error():
            continue


def _parameters(path):
    from bodyposenet.pipelines.package import Input
    from bodyposenet.pipelines.parameters import from_spec, from_words, problems, sendable

    inputs = {kind.lower(): Input(kind, True) for kind in (
        "STRING", "STRUCT", "LIST", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN")}  # fmt: skip
    inputs["model_name"] = Input("STRING", True)
    text = path.read_bytes().decode(errors="replace")
    for name in inputs:
        for read in (
            lambda name=name: from_words({name: text}, inputs),
            lambda name=name: from_spec({name: text}, inputs, path.parent),
        ):
            try:
                values = read()
            except seeds.user_error():
                continue
            list(problems(values, inputs))
            sendable(values)


def _schedule(path):
    from bodyposenet.pipelines.schedules.schedules import read_file

    read_file(path, _find_package)


@functools.cache
def _compiled():
    from bodyposenet.pipelines.package import read_package

    return read_package(seeds.ROOT / "pipelines/compiled/prune_retrain.yaml")


def _find_package(named):
    from bodyposenet.common.errors import UserError

    if named != "prune_retrain":
        raise UserError("no such pipeline", where=named)
    return _compiled()


def _package(path):
    from bodyposenet.pipelines.package import read_package
    from bodyposenet.pipelines.workflow_size import estimate_workflow

    package = read_package(path)
    package.name, package.version, package.inputs, package.without_cache().text()
    estimate_workflow(package)


def _cron(path):
    from bodyposenet.pipelines.schedules import cron

    try:
        cron.parse(path.read_bytes().decode(errors="replace"))
    except ValueError:  # which the schedule's own check tells with its place
        return


def _cluster(path):
    from bodyposenet.common.model.training.cluster import read_cluster

    read_cluster({"TF_CONFIG": path.read_bytes().decode(errors="surrogateescape")})


def _split_rule(path):
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.split import SplitRule

    text = path.read_bytes().decode(errors="surrogateescape")
    rule = parse_spec({"share": 0.5, "group": text}, SplitRule)
    for name in ("a" * 30 + "!", "folder/0001_b.jpg"):
        rule.holds_out(name)


def _variable(name, value):
    import os
    from unittest import mock

    return mock.patch.dict(os.environ, {name: value})


def _answers(path):
    """What servers answer, and a key that somebody has put into a variable."""
    from bodyposenet.common.storage.stores import gcs, gcs_requests
    from bodyposenet.pipelines import server

    content = path.read_bytes()
    server._read_reason(content)
    gcs_requests._read_reason(content)
    gcs._read_account(content.decode(errors="replace"))


def _status_line(path):
    """What a stranger's texts become in a message, a status line and a log line."""
    from bodyposenet.common.errors import UserError
    from bodyposenet.common.storage.status_log import StatusLog

    text = path.read_bytes().decode(errors="surrogateescape")
    said = str(UserError(text, where=text, fix=text))
    assert all(each.isprintable() or each in "\n\t" for each in said)
    StatusLog(path.parent).write("FAILURE", message=said)
    json.loads((path.parent / "status.json").read_text(encoding="utf-8").splitlines()[-1])
    (path.parent / "status.json").unlink()


PARSERS = {
    parser.name: parser
    for parser in (
        Parser("dataset-spec", seeds.dataset_specs, _spec("dataset"), "coco.json", "json"),
        Parser("train-spec", seeds.train_specs, _spec("train"), "train.yaml", "yaml"),
        Parser("inference-spec", seeds.inference_specs, _spec("inference"), "infer.yaml", "yaml"),
        Parser("prune-spec", seeds.prune_specs, _spec("prune"), "prune.yaml", "yaml"),
        Parser("deploy-spec", seeds.deploy_specs, _spec("deploy"), "deploy.yaml", "yaml"),
        Parser("pose-config", seeds.pose_configs, _skeleton, "joints.json", "json"),
        Parser("spec-check", seeds.all_specs, _check_spec, "any.yaml", "yaml"),
        Parser("settings", seeds.inference_specs, _settings, form="yaml"),
        Parser("prior", seeds.priors, _prior, "prior.json", "json"),
        Parser("split-rule", seeds.patterns, _split_rule),
        Parser("coco", seeds.coco_files, _annotations(), "people.json", "json"),
        Parser("coco-gzip", seeds.coco_gzips, _annotations(), "people.json.gz"),
        Parser("coco-zip", seeds.coco_zips, _annotations(), "export.zip", "zip"),
        Parser("cvat", seeds.cvat_files, _annotations(), "annotations.xml"),
        Parser("cvat-video", seeds.cvat_videos, _annotations(), "annotations.xml"),
        Parser("label-studio", seeds.studio_files, _annotations(), "tasks.json", "json"),
        Parser("labelme", seeds.labelme_files, _dataset_folder(""), "a.png.json", "json"),
        Parser("datumaro", seeds.datumaro_files, _annotations(), "people.json", "json"),
        Parser("mpii", seeds.mpii_files, _annotations(seeds.mpii_joints), "people.json", "json"),
        Parser("crowdpose", seeds.crowdpose_files, _annotations(seeds.crowdpose_joints), "people.json", "json"),
        Parser("fiftyone", seeds.fiftyone_files, _annotations(seeds.JOINTS), "labels.json", "json"),
        Parser("yolo-yaml", seeds.yolo_yamls, _annotations(part="#train"), "data.yaml", "yaml"),
        Parser("yolo-labels", seeds.yolo_label_files, _dataset_folder("/data.yaml#train"), "labels/a.txt"),
        Parser("yolo-list", seeds.yolo_lists, _dataset_folder("/data.yaml#train"), "train.txt"),
        Parser("photo", seeds.photos, _photo, "photo"),
        Parser("video", seeds.videos, _video, "clip.mp4"),
        Parser("orientation", seeds.turned_photos, _orientation, "photo"),
        Parser("bitmap", seeds.bitmaps, _bitmap, "mask.png"),
        Parser("photo-archive", seeds.photo_archives, _photo_archive, "photos.zip", "zip"),
        Parser("manifest", seeds.manifests, _manifest, "records/manifest.json", "json"),
        Parser("manifest-join", seeds.part_manifests, _join, "parts/0/manifest.json", "json"),
        Parser("manifest-renewal", seeds.manifests, _renewal, "records/manifest.json", "json", heavy=True),
        Parser("shard", seeds.shards, _shard, "train-fold-000-of-001"),
        Parser("record", seeds.records, _record),
        Parser("keras-card", seeds.keras_files, _card_of_keras, "net.keras", "zip", heavy=True),
        Parser("keras-model", seeds.keras_files, _keras_model, "net.keras", "zip", heavy=True),
        Parser("keras-weights", seeds.weight_files, _weights, "weights.h5", "hdf5", heavy=True),
        Parser("keras-zip-weights", seeds.keras_files, _weights, "net.keras", "zip", heavy=True),
        Parser("tao-hdf5", seeds.tao_files, _tao_network, "net.hdf5", "hdf5", heavy=True),
        Parser("checkpoint-state", seeds.checkpoints, _checkpoint_state, "model.epoch-1.keras", "zip", heavy=True),
        Parser("checkpoint", seeds.checkpoints, _checkpoint, "model.epoch-1.keras", "zip", heavy=True),
        Parser("onnx-card", seeds.onnx_files, _onnx_card, "net.onnx", "onnx"),
        Parser("onnx-bundle", seeds.onnx_files, _bundles, "net.onnx", "onnx"),
        Parser("onnx-forms", seeds.onnx_files, _export_forms, "net.onnx", "onnx", heavy=True),
        Parser("onnx-runner", seeds.onnx_files, _runner, "net.onnx", "onnx"),
        Parser("onnx-inference", seeds.onnx_files, _inference, "net.onnx", "onnx"),
        Parser("onnx-quantize", seeds.float_onnx_files, _quantize_network, "net.onnx", "onnx", heavy=True),
        Parser("onnx-adopt", seeds.foreign_onnx_files, _foreign_graph, "tao.onnx", "onnx", heavy=True),
        Parser("onnx-keras", seeds.foreign_onnx_files, _adopt, "tao.onnx", "onnx", heavy=True),
        Parser("openvino", seeds.openvino_files, _foreign_graph, "net.xml", heavy=True),
        Parser("engine-card", seeds.engine_cards, _engine, "net.engine.json", "json"),
        Parser("tensorfile", seeds.tensorfiles, _tensorfile, "pictures.h5", "hdf5"),
        Parser("calibration-cache", seeds.caches, _cache, "net.cache"),
        Parser("calibration-quantize", seeds.network_caches, _quantized, "net.cache", heavy=True),
        Parser("calibration-counts", seeds.counts, _counts, ".net.part.npz", "zip"),
        Parser("encrypted", seeds.encrypted, _encrypted, "net.tlt"),
        Parser("tao-encrypted", seeds.tao_encrypted, _tao_encrypted, "net.etlt"),
        Parser("key-file", seeds.key_files, _key_file, "key.txt"),
        Parser("kept-run", seeds.kept_runs, _kept_run, "tracking_buffer/verb-0/run.jsonl", "jsonl"),
        Parser("kept-progress", seeds.progress_files, _sent, "sent.json", "json"),
        Parser("journal", seeds.journals, _journal, ".net.onnx.journal", "json"),
        Parser("hold-out", seeds.hold_outs, _hold_out, "photos.json", "json"),
        Parser("hold-out-archive", seeds.hold_out_archives, _hold_out_archive, "hold_out.zip", "zip"),
        Parser("snapshot", seeds.snapshots, _snapshot, "snapshot.zip", "zip"),
        Parser("input-list", seeds.input_lists, _input_list, "photos.json", "json"),
        Parser("batch-part", seeds.batch_parts, _parts, "parts-0123456789abcdef/000000.jsonl", "jsonl"),
        Parser("photo-pointer", seeds.pointers, _pointer, "source.json", "json"),
        Parser("history", seeds.histories, _training_page, "history.json", "json"),
        Parser("precision", seeds.precisions, _precision, "precision.json", "json"),
        Parser("start-note", seeds.start_notes, _start_note, "start.json", "json"),
        Parser("runner-choice", seeds.choices, _choice, "choice.json", "json"),
        Parser("demo-run", seeds.demo_runs, _demo_run, "run.json", "json"),
        Parser("progress-note", seeds.progress_notes, _progress_note, "note.json", "json"),
        Parser("address", seeds.addresses, _address),
        Parser("tracking-address", seeds.addresses, _tracking_address),
        Parser("network-name", seeds.network_names, _network_name),
        Parser("parameter", seeds.parameters, _parameters, heavy=True),
        Parser("schedule", seeds.schedules, _schedule, "nightly.yaml", "yaml", heavy=True),
        Parser("package", seeds.packages, _package, "pipeline.yaml", heavy=True),
        Parser("cron", seeds.crons, _cron),
        Parser("cluster", seeds.clusters, _cluster, form="json"),
        Parser("answer", seeds.answers, _answers, form="json"),
        Parser("message", seeds.addresses, _status_line),
    )
}  # fmt: skip
