"""Seeds: sound files of every kind that is read of others, small, and what must lie beside them."""

import gzip
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import yaml
from fuzzing.mutations import pack
from support.coco_files import JOINTS, annotation, image, write_dataset
from support.exports import coco, cvat, shots, studio_coco, studio_tasks, zipped
from support.spec_files import DATASET, INFERENCE, POSE, PRUNE, TRAIN
from support.tool_files import (
    FLIPS,
    as_bytes,
    cvat_meta,
    cvat_points,
    cvat_xml,
    labelme,
    pixels,
    write_files,
    yolo_labels,
)

from bodyposenet.common.data.importers.mpii import JOINTS as MPII

ROOT = Path(__file__).resolve().parents[2]
EXPORTS = ROOT / "tests/exports"
PRIOR_JOINTS = ("a", "b", "c")
KEY = "tlt_encode"
COUNTS_KEY = "key"
mpii_joints = list(MPII)
crowdpose_joints = [*JOINTS[5:], "head", "neck"]


def user_error():
    from bodyposenet.common.errors import UserError

    return UserError


def _json(*documents):
    return [json.dumps(document).encode() for document in documents]


def _texts(*texts):
    return [text.encode() for text in texts]


# Specs


def dataset_specs(folder):
    spec = json.loads(DATASET)
    split = spec | {"split": {"share": 0.3, "group": "folder"}}
    split["train_data"] = spec["train_data"] | {"annotation_root_dir_path": "all.json"}
    split["test_data"] = split["train_data"]
    return _json(spec, split)


def train_specs(folder):
    more = yaml.safe_load(TRAIN) | {"early_stopping": {"patience": 3}, "mixed_precision": "auto"}
    return [TRAIN.encode(), *_json(more)]


def inference_specs(folder):
    scales = "multi_scale_inference: True\nscales: [0.5, 1.0]\n"
    return _texts(INFERENCE, INFERENCE.replace("multi_scale_inference: False\nscales: null\n", scales))


def prune_specs(folder):
    return _texts(PRUNE, "target_flops: 0.5\ncriterion: taylor\n")


def deploy_specs(folder):
    return _texts("calibration_images: 20\nmethod: minmax\n", "keep_float: [stage1_*]\nmax_int8_drop: 0.1\n")


def pose_configs(folder):
    (folder / "prior.json").write_bytes(priors(folder)[0])
    person = json.loads(POSE)["categories"][0]
    more = {"pose_config_type": "more", "categories": [person], "flip_pairs": [["left_shoulder", "right_shoulder"]]}
    return [POSE.encode(), *_json(more)]


def all_specs(folder):
    texts = [TRAIN, INFERENCE, PRUNE, POSE, DATASET]
    return _texts(*texts) + [path.read_bytes() for path in sorted((ROOT / "pipelines/specs").glob("*.yaml"))]


def train_spec():
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import TrainSpec

    return parse_spec(yaml.safe_load(TRAIN), TrainSpec)


def priors(folder):
    below = {"means": [[], [0.5], [0.1, 0.2]], "spreads": [[], [1.5], [1.1, 1.2]]}
    return _json(below | {"joints": PRIOR_JOINTS})


def patterns(folder):
    return _texts("folder", "file", r"^(\d+)_", "(a+)+$", "[a-z]{1,3}(?P<x>.)", "*")


# Annotations


def _photos(folder):
    write_files(folder / "images", {shot.name: pixels(shot) for shot in shots()})


def coco_files(folder):
    _photos(folder)
    sound = coco(shots())
    sound["annotations"][0]["segmentation"] = [[1, 1, 30, 1, 30, 30]]
    sound["annotations"][1] |= {"iscrowd": 1, "segmentation": {"size": [120, 200], "counts": [0, 100, 23900]}}
    packed = {"size": [150, 160], "counts": "o0Q1Pn0"}
    sound["annotations"][2] |= {"iscrowd": 1, "segmentation": packed}
    return _json(sound, cvat(shots()), studio_coco(shots(crowded=False)))


def coco_gzips(folder):
    return [gzip.compress(content, mtime=0) for content in coco_files(folder)]


def coco_zips(folder):
    _photos(folder)
    several = {"annotations/person_keypoints_default.json": coco(shots()), "annotations/captions.json": {}}
    return [zipped(several), zipped({"result.json": studio_coco(shots(crowded=False))})]


def cvat_files(folder):
    _photos(folder)
    grouped = cvat_xml(shots()).replace(
        "</image>", '<box label="person" xtl="1" ytl="1" xbr="9" ybr="9"></box></image>'
    )
    return _texts(cvat_xml(shots()), grouped)


def cvat_videos(folder):
    _photos(folder)
    size = "<size>9</size><original_size><width>200</width><height>120</height></original_size>"
    frames = "".join(
        f'<skeleton frame="{frame}" keyframe="1">\n{cvat_points(shots()[0].figures[0])}</skeleton>\n'
        for frame in (0, 4)
    )
    track = f'<track id="0" label="person">\n{frames}</track>\n'
    return _texts(f"<annotations>\n{cvat_meta(extra=size)}{track}</annotations>\n")


def studio_files(folder):
    _photos(folder)
    return _json(studio_tasks(shots()), studio_tasks(shots(crowded=False), parents=False))


def labelme_files(folder):
    _photos(folder)
    files = {f"{shot.name}.json": json.dumps(labelme(shot)) for shot in shots()}
    write_files(folder, files)
    return _json(labelme(shots()[0]), labelme(shots()[1], boxes=False))


def datumaro_files(folder):
    _photos(folder)
    (one,) = shots()[1].figures
    triplets = [one.joints.get(joint, (0, 0, 0)) for joint in JOINTS]
    points = {"id": 1, "type": "points", "group": 1, "label_id": 0, "points": [x for xyv in triplets for x in xyv[:2]]}
    points["visibility"] = [flag for _, _, flag in triplets]
    item = {"id": "b", "annotations": [points], "image": {"path": "b.png", "size": [150, 160]}}
    labels = {"label": {"labels": [{"name": "person"}]}, "points": {"items": [{"label_id": 0, "labels": JOINTS}]}}
    return [*_json({"categories": labels, "items": [item]}), (EXPORTS / "datumaro/train.json").read_bytes()]


def mpii_files(folder):
    _photos(folder)
    places = [[5 * number + 1, 20 + number] for number in range(16)]
    people = [{"image": shot.name, "joints": places, "joints_vis": [1] * 16} for shot in shots()]
    selves = [{"img_paths": shot.name, "joint_self": [[*place, 1] for place in places]} for shot in shots()]
    return _json(people, selves)


def crowdpose_files(folder):
    _photos(folder)
    document = coco(shots())
    for entry in document["annotations"]:
        entry["keypoints"] = entry["keypoints"][: 14 * 3]
    document["categories"] = [{"id": 1, "name": "person"}]
    return _json(document)


def fiftyone_files(folder):
    _photos(folder)
    return [(EXPORTS / "fiftyone/labels.json").read_bytes(), (EXPORTS / "sleap_io/coco.json").read_bytes()]


def _yolo(folder):
    _photos(folder)
    yaml_text = f"path: .\ntrain: train.txt\nval: images\nnames: {{0: person}}\nkpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
    named = f"kpt_names:\n  0: {JOINTS}\n"
    labels = {f"labels/{stem}.txt": text for stem, text in yolo_labels(shots()).items()}
    listed = "".join(f"images/{shot.name}\n" for shot in shots())
    files = labels | {"data.yaml": yaml_text + named, "train.txt": listed}
    write_files(folder, files)
    return files


def yolo_yamls(folder):
    return [as_bytes(_yolo(folder)["data.yaml"])]


def yolo_label_files(folder):
    return [as_bytes(_yolo(folder)["labels/a.txt"])]


def yolo_lists(folder):
    return [as_bytes(_yolo(folder)["train.txt"])]


# Photos


def photos(folder):
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8), (0, 0), 4)
    made = [cv2.imencode(end, picture)[1].tobytes() for end in (".jpg", ".png", ".bmp", ".webp", ".tif")]
    lossless = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    progressive = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return [*made, lossless, progressive, cv2.imencode(".png", picture[..., 0])[1].tobytes()]


def videos(folder):
    from support.clips import write_clip

    rng = np.random.default_rng(0)
    pictures = [cv2.GaussianBlur(rng.integers(0, 255, (24, 32, 3), np.uint8), (0, 0), 4) for _ in range(4)]
    kinds = (("a.mp4", "mp4v"), ("b.avi", "MJPG"), ("c.webm", "VP80"), ("d.mkv", "mp4v"))
    return [write_clip(folder / name, pictures, code).read_bytes() for name, code in kinds]


def turned_photos(folder):
    from support.turned_photos import draw_photo, store_turned

    for number, (end, big) in enumerate([(".jpg", False), (".jpg", True), (".png", False), (".webp", True)], 5):
        store_turned(folder / f"{number}{end}", draw_photo(number, (20, 30)), number, big=big)
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]


def bitmaps(folder):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 3:20] = 255
    grey = cv2.imencode(".png", mask)[1].tobytes()
    return [cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes(), grey]


def photo_archives(folder):
    files = {f"photos/{number}.jpg": content for number, content in enumerate(photos(folder))}
    return [pack(files), pack({"a.png": pixels(shots()[0]), "../b.png": b"x", "/c.png": b"x"})]


# Records


def _convert(folder, **options):
    from bodyposenet.common.data.conversion.convert import convert_dataset

    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(3)]
    spec = write_dataset(folder, [image(number) for number in range(4)], people)
    (folder / "dataset_spec.json").write_text(spec.model_dump_json(by_alias=True))
    return lambda out, **more: convert_dataset(spec, folder / out, processes=1, **(options | more))


def manifests(folder):
    _convert(folder)("records/train", shards=(1, 2))
    return [(folder / "records/manifest.json").read_bytes()]


def part_manifests(folder):
    convert = _convert(folder, shards=(1, 4))
    for index in range(2):
        convert(f"parts/{index}/train", part=(index, 2))
    return [(folder / "parts/0/manifest.json").read_bytes()]


def shards(folder):
    _convert(folder)("records/train", shards=(1, 0))
    (shard,) = (folder / "records").glob("train-fold-*")
    return [shard.read_bytes()]


def records(folder):
    from bodyposenet.common.data.records.tfrecord import read_records

    _convert(folder)("records/train", shards=(1, 0))
    (shard,) = (folder / "records").glob("train-fold-*")
    return list(read_records(shard))


# Networks


def keras_files(folder):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.files.model_file import save_model

    save_model(pose_net(stages=1, width=2), folder / "net.keras", CARD)
    return [(folder / "net.keras").read_bytes()]


def weight_files(folder):
    from support.pose_net import pose_net

    pose_net(stages=1, width=2).save_weights(folder / "net.weights.h5")
    return [(folder / "net.weights.h5").read_bytes(), *tao_files(folder)]


def tao_files(folder):
    from support.tao_files import age, tao_network, write_hdf5

    path = folder / "net.hdf5"
    write_hdf5(tao_network(trunk=2, wide=2), path)
    made = [path.read_bytes()]
    age(path)
    return [*made, path.read_bytes()]


def checkpoints(folder):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.training.checkpoints import TrainingState, save_checkpoint

    state = TrainingState(epoch=1, step=2, steps=5, sums={"loss": 0.5}, history=[{"epoch": 1.0, "loss": 0.5}])
    variables = [np.zeros(3, np.float32), np.array(7)]
    save_checkpoint(folder / "model.epoch-1.keras", pose_net(stages=1, width=2), variables, CARD, state)
    return [(folder / "model.epoch-1.keras").read_bytes()]


def person_file(folder):
    from support.person_net import write_network

    return write_network(folder / "person.onnx").read_bytes()


def float_onnx_files(folder):
    """A small network of convolutions as export writes it, made without Keras."""
    return [_conv_net()]


def _conv_net():
    from onnx import TensorProto, helper, numpy_helper

    from bodyposenet.common.deploy.onnx_file import put_card
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.skeleton.skeleton import make_skeleton

    random = np.random.default_rng(0)
    skeleton = make_skeleton("two", ("nose", "neck"), ((0, 1),))
    held, nodes, tensor = [], [helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2])], "nchw"

    def conv(source, target, channels, filters, stride):
        held.append(numpy_helper.from_array(random.normal(size=(filters, channels, 3, 3)).astype("f4"), f"{target}/w"))
        held.append(numpy_helper.from_array(np.zeros(filters, "f4"), f"{target}/b"))
        return helper.make_node(
            "Conv", [source, f"{target}/w", f"{target}/b"], [target], name=target, strides=[stride] * 2, pads=[1] * 4
        )

    for number, channels in enumerate((3, 4, 4)):
        nodes.append(conv(tensor, f"conv{number}", channels, 4, 2))
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"]))
        tensor = f"relu{number}"
    for name, filters in (("heatmap_out", 3), ("paf_out", 2)):
        nodes.append(conv(tensor, f"{name}/nchw", 4, filters, 1))
        nodes.append(helper.make_node("Transpose", [f"{name}/nchw"], [name], perm=[0, 2, 3, 1]))
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", "height", "width", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "rows", "cols", filters])
        for name, filters in (("heatmap_out", 3), ("paf_out", 2))
    ]
    graph = helper.make_graph(nodes, "net", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, Card(skeleton, input_size=(64, 96)))
    return model.SerializeToString()


def onnx_files(folder):
    return [_conv_net(), person_file(folder)]


def foreign_onnx_files(folder):
    """Lightweight OpenPose's form: pictures with their channels first, the maps of a stage side by side."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {"w": (8, 3, 3, 3), "heat": (19, 8, 1, 1), "paf": (38, 8, 1, 1)}
    held = [numpy_helper.from_array(random.normal(size=shape).astype("f4"), name) for name, shape in weights.items()]
    held.append(numpy_helper.from_array(np.zeros((1, 8, 1, 1), "f4"), "bias"))
    nodes = [
        helper.make_node(
            "Conv", ["data", "w"], ["c"], name="c", strides=[8, 8], pads=[1, 1, 1, 1], kernel_shape=[3, 3]
        ),
        helper.make_node("Add", ["c", "bias"], ["d"], name="d"),
        helper.make_node("Relu", ["d"], ["r"], name="r"),
        helper.make_node("Conv", ["r", "heat"], ["stage_1_output_1_heatmaps"], name="h", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["r", "paf"], ["stage_1_output_0_pafs"], name="p", kernel_shape=[1, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 32, 32])
        for name, channels in (("stage_1_output_1_heatmaps", 19), ("stage_1_output_0_pafs", 38))
    ]
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 256, 256])
    graph = helper.make_graph(nodes, "net", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return [model.SerializeToString()]


def openvino_files(folder):
    from bodyposenet.common.deploy.runtime.openvino_session import import_openvino

    openvino = import_openvino()
    network = openvino.Core().read_model(foreign_onnx_files(folder)[0])
    openvino.save_model(network, str(folder / "net.xml"), compress_to_fp16=False)
    return [(folder / "net.xml").read_bytes()]


def engine_cards(folder):
    from support.pose_net import CARD

    from bodyposenet.common.deploy.tensorrt.engine_file import EngineCard
    from bodyposenet.common.storage.digests import digest_bytes

    (folder / "net.engine").write_bytes(b"engine")
    shape = (1, 64, 96, 3)
    card = EngineCard(
        library="tensorrt", version="11.0", gpus=("86",), precision="fp16", shapes=dict.fromkeys(("min", "opt",
        "max"), shape),
        workspace=1 << 20, onnx={"name": "net.onnx", "sha256": "0"}, sha256=digest_bytes(b"engine"), model=CARD,
    )  # fmt: skip
    return _json(card.to_dict())


def tensorfiles(folder):
    from bodyposenet.common.deploy.quantization.tensorfile import write_tensorfile

    write_tensorfile(folder / "sound.h5", [np.zeros((1, 24, 32, 3), np.float32)] * 2)
    return [(folder / "sound.h5").read_bytes()]


def caches(folder):
    from bodyposenet.common.deploy.quantization.tensorrt_cache import cache_text

    return _texts(cache_text({"input_1": 1.0, "conv": 2.5, "a: b": 0.0}))


def network_caches(folder):
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    (folder / "net.onnx").write_bytes(_conv_net())
    picture = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    made = quantize_int8(folder / "net.onnx", [picture], folder / "sound.int8.onnx", method="minmax")
    return [made.cache.read_bytes()]


def counts(folder):
    from bodyposenet.common.deploy.quantization.histograms import Histogram
    from bodyposenet.common.deploy.quantization.observer import Observation, Saved

    random = np.random.default_rng(0)
    histograms = {name: Histogram.count(random.normal(size=2000).astype(np.float32)) for name in "ab"}
    Saved(folder / "sound.npz", COUNTS_KEY).write(Observation(histograms, 3, 3))
    return [(folder / "sound.npz").read_bytes()]


def encrypted(folder):
    import base64

    from support.age_by_the_book import encrypt_cheaply

    old = (
        "q0JQTkVUDQoBAggBAAAAIHhNF9onnrdUtkIMS3iJsUmqaaZarg5GzNx+roe5LyuBAGWHTtsOXQ/Tu5wlLYEWqxm8Dc6MP45+OKQD"
        "+PrVj6PT1Qobr87z0dHWJe8YBfMgBlDYUCdTtB/Y7vCGzKz5z9DEtKQhOfRfIpIjrzcPc50Uq8KjH3GGsSrYLBL1C1rVZboMMhYw"
        "8tHvUiRdzZV/3WbXdxyy9Kbk03tjExK4FKQIsoSurAPjdsP8eNz/Nprofia0I18="
    )
    return [encrypt_cheaply(b"content" * 30, KEY), base64.b64decode(old)]


def tao_encrypted(folder):
    return [(8).to_bytes(4, "little") + b"input_1\0" + bytes(range(200)), bytes(4) + bytes(range(100, 250))]


def key_files(folder):
    return _texts("tlt_encode\n", "schlüssel")


# What runs leave


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


def progress_files(folder):
    return _json(["0123", 2])


def journals(folder):
    (folder / ".net.onnx.staging").mkdir(exist_ok=True)
    return _json({"publish": ["net.onnx", "a/b.json"], "wrote": ["net.onnx"]})


def _hold_out(folder):
    """A hold-out's two files, the digest of the one in the other."""
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
    return [_hold_out(folder).photos.read_bytes()]


def hold_out_archives(folder):
    """Of any archive the digest is right: the list of photos may come from the same hands."""
    return [_hold_out(folder).archive.read_bytes()]


def snapshots(folder):
    return [pack({"model.epoch-1.keras": b"network", "history.json": b"[]", "a/b.json": b"{}"}), pack({"../c": b"x"})]


def input_lists(folder):
    paths = ["a.png", "b.png"]
    return _json(paths, {"images": [{"full_image_path": path, "id": 1} for path in paths], "more": {"a": 1}})


def batch_parts(folder):
    entry = {
        "full_image_path": "a.png",
        "scores": [0.5],
        "keypoints": [[1, 2, 0.5]],
        "image_meta": {"file_name": "a.png"},
    }
    return ["".join(json.dumps(line) + "\n" for line in (entry, entry | {"scores": []}, {"problem": "torn"})).encode()]


def pointers(folder):
    return _json({"source": "/data/photos"}, {"source": "gs://bucket/photos"})


def histories(folder):
    entry = {"epoch": 1.0, "loss": 0.5, "val_ap": 0.1, "learning_rate": 1e-3}
    return _json([entry, entry | {"epoch": 2.0, "loss": 0.25}])


def precisions(folder):
    from bodyposenet.common.model.training.precision import PrecisionChoice

    return _json(asdict(PrecisionChoice("float32", "asked for")))


def start_notes(folder):
    from bodyposenet.common.tracking.start_weights import StartWeights

    return _json(
        {"wish": "models:/a@champion", "start": asdict(StartWeights("pretrained:people", "there is no champion"))}
    )


def choices(folder):
    from bodyposenet.common.deploy.runtime.runner_choice import Choice, Trial

    trials = (Trial("exact", 5.0, 0.0), Trial("openvino", 2.0, 1e-6))
    return _json(asdict(Choice("openvino", "OpenVINO, float32", "AVX2", trials, "exact", (64, 96))))


def demo_runs(folder):
    return _json({"name": "demo-1", "asked": "0123", "done": False})


def progress_notes(folder):
    return _json({"what": "train", "done": 3, "of": 10, "more": ""})


# Texts


def addresses(folder):
    return _texts(
        "gs://bucket/a/b", "s3://bucket/a", "abfs://container@account.dfs.core.windows.net/a", "az://c/a",
        "https://user:SECRET@host:80/a/b?token=SECRET#x", "http://[::1]:8080/a", "/data/photos", "photos/a.jpg",
        "C:/photos",
        "sqlite:///m.db", "postgresql://h/db?user=u&password=SECRET", "models:/a@b", "runs:/a/b", "file:///a",
    )  # fmt: skip


def answers(folder):
    account = {"client_email": "a@b", "private_key": "key", "token_uri": "https://oauth2.googleapis.com/token"}
    return _json({"error": {"message": "denied", "code": 403}}, {"message": "InvalidInputError: no"}, account)


def network_names(folder):
    return _texts(
        "pretrained:people", "models:/bodyposenet@champion", "models:/bodyposenet/3", "auto", "net.keras", "a/b"
    )


def parameters(folder):
    return _texts("1", "0.5", "true", "[1, 2]", "{a: 1}", "gs://bucket/spec.yaml", "{from: a.yaml}", "@file", "@@text")


def schedules(folder):
    write_files(folder, {"spec.yaml": INFERENCE})
    said = {"name": "nightly", "pipeline": "prune_retrain", "cron": "0 0 2 * * *", "parameters": {"model_name": "a"}}
    every = {"name": "often", "pipeline": "prune_retrain", "interval": "1h", "parameters": {"train_spec": "@spec.yaml"}}
    return _json(said, every | {"enabled": False, "cache": False})


def packages(folder):
    small = ROOT / "pipelines/compiled/batch_inference.yaml"
    return [small.read_bytes()]


def crons(folder):
    return _texts("0 0 2 * * *", "@daily", "0 */5 1-3,7 ? jan-mar mon,fri", "0 0 0 31 2 *")


def clusters(folder):
    return _json(
        {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["b:2"]}, "task": {"type": "worker", "index": 0}},
    )


def as_npz(arrays):
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()
