"""Tasks: what each component does, one after another on a small drawn set, and what MLflow and the report say of it."""

import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from bodyposenet.common import tasks
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.training.precision import read_precision, take_precision
from bodyposenet.common.pages.numbers import count, size
from bodyposenet.common.report.channels import widths
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.storage.digests import fingerprint
from bodyposenet.common.tasks.files import find_runnable
from bodyposenet.pipelines.demo import unflatten
from bodyposenet.pipelines.specs import default

PHOTOS = {"train": 12, "val": 6}
EPOCHS = 2
PARENT = "mlflow.parentRunId"
STAGES = ("base", "pruned", "retrained", "int8")
SIZE = (192, 256)
PRUNE = {**default("prune"), "pruning_threshold": 0.6}  # a little, so that two epochs need not repair much
INFERENCE = default("inference")
CONVERSION = {"convert1": "dataset_convert 1 of 2", "convert2": "dataset_convert 2 of 2", "join": "dataset_join"}


def train_settings(name):
    """A shipped train spec for a few pictures."""
    spec = default(name)
    return {**spec, "num_epoch": EPOCHS, "dataloader": {**spec["dataloader"], "batch_size": 4}}


@dataclass
class Chain:
    """What the tasks returned, and the folder with their artifacts."""

    folder: Path
    said: dict

    def file(self, *names):
        return self.folder.joinpath(*names)

    def json(self, *names):
        return json.loads(self.file(*names).read_text())

    def metrics(self, task):
        return self.json(f"{task}.metrics")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "KFP_RUN_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("BODYPOSENET_PIPELINE_RUN", "run-7")
        yield Chain(folder, run_all(folder))


def run_all(folder):
    """The pipeline's tasks in its order; what each returned."""
    at = {
        name: str(folder / name)
        for name in (
            "photos",
            "part1",
            "part2",
            "dataset",
            "base",
            "early",
            "pruned",
            "retrained",
            "onnx",
            "int8",
            "few",
            "curves",
        )
    }
    noted = {
        task: str(folder / f"{task}.metrics")
        for task in (*CONVERSION, "train", "rounds", "retrain", "prune", "export", "sample", "calibrate")
    }
    spec, said = INFERENCE, {}
    said["photos"] = tasks.gather_photos("synthetic:{train},{val},3".format(**PHOTOS), at["photos"])
    for number in (1, 2):
        done = tasks.convert(
            at["photos"], default("dataset"), f"{number - 1}/2", at[f"part{number}"], noted[f"convert{number}"],
            str(folder / "convert.html"), fingerprint=fingerprint(folder / "photos"),
        )  # fmt: skip
        said[f"convert{number}"] = done
    parts = [at["part1"], at["part2"]]
    said["join"] = tasks.join(at["photos"], default("dataset"), parts, at["dataset"], noted["join"])
    outputs = at["base"], noted["train"], at["curves"]
    said["facts"], said["train"] = tasks.train(at["dataset"], train_settings("train"), None, *outputs)
    handed = tasks.prune_rounds(at["base"], at["dataset"], PRUNE, {}, at["early"], noted["rounds"])
    said["rounds"], pages = handed, (str(folder / "summary.md"), str(folder / "pruned.html"))
    said["prune"] = tasks.prune(at["early"], handed[0], at["pruned"], noted["prune"], *pages)
    again = train_settings("retrain")
    outputs = at["retrained"], noted["retrain"], at["curves"]
    said["retrain"] = tasks.train(at["dataset"], again, at["pruned"], *outputs)[1]
    said["export"] = tasks.export(at["retrained"], at["onnx"], noted["export"])
    said["sample"] = tasks.sample_calibration(at["photos"], default("dataset"), 4, 0, at["few"], noted["sample"])
    page = str(folder / "calibration.md")
    said["calibrate"] = tasks.calibrate(
        at["onnx"], at["few"], spec, at["int8"], noted["calibrate"], page,
        method="percentile", keep=["auto"], max_drop=1.0, dataset=at["dataset"],
    )  # fmt: skip
    models = {"base": at["base"], "pruned": at["pruned"], "retrained": at["onnx"], "int8": at["int8"]}
    for name, model in models.items():
        outputs = str(folder / f"found_{name}"), str(folder / f"evaluate_{name}.metrics")
        said[f"evaluate_{name}"] = tasks.evaluate(model, at["dataset"], spec, name, *outputs)
    aps = {name: said[f"evaluate_{name}"][0] for name in models}
    version_aps = {"ap": aps["retrained"], "int8_ap": aps["int8"]}
    said["register"] = tasks.register(at["onnx"], at["int8"], spec, "tiny", version_aps, str(folder / "registered.md"))
    page = str(folder / "report.html")
    outputs = page, str(folder / "figures")
    said["report"] = unflatten(tasks.report(at, at["dataset"], spec, str(folder / "found_int8"), aps, *outputs))
    return said


@pytest.fixture(scope="module")
def client(chain):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{chain.file('mlflow.db')}")


@pytest.fixture(scope="module")
def runs(client):
    """All runs by name."""
    experiment = client.get_experiment_by_name("bodyposenet")
    found = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_pictures_are_drawn_where_no_photos_are_given(chain):
    assert chain.said["photos"] == {"source": "synthetic:12,6,3", "folder": str(chain.file("photos"))}
    assert len(list(chain.file("photos", "images").iterdir())) == 18


def test_what_each_task_worked_on_is_told_by_digests_that_agree(chain, runs):
    used = {
        name: {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs} for name, run in runs.items()
    }
    assert used["dataset_convert 1 of 2"]["conversion"].digest == fingerprint(chain.file("photos"))[:36]
    assert set(used["train"]) == {"training", "validation"}
    assert used["train"] == used["retrain"]
    assert len({entry.digest for entry in used["train"].values()}) == 2
    assert json.loads(used["train"]["training"].profile)["images"] == PHOTOS["train"]
    held_out = [used[f"evaluate_{name}"]["evaluation"] for name in STAGES]
    assert held_out == [held_out[0]] * 4
    assert json.loads(held_out[0].profile)["images"] == PHOTOS["val"]


def test_conversion_counts_what_the_annotation_files_say(chain):
    numbers = chain.said["join"]
    for name, number in numbers.items():
        assert number == chain.said["convert1"][name] + chain.said["convert2"][name]
    for half, photos in PHOTOS.items():
        truth = chain.json("photos", "annotations", f"person_keypoints_{half}.json")
        assert numbers[f"{half}_images"] == len(truth["images"]) == photos
        assert numbers[f"{half}_people"] == sum(bool(person["num_keypoints"]) for person in truth["annotations"])
        assert numbers[f"{half}_skipped"] == 0
        assert 1 <= numbers[f"{half}_samples"] <= photos
    spec = chain.json("dataset", "dataset_spec.json")
    assert spec["root_directory_path"] == str(chain.file("dataset"))
    assert len(list(chain.file("dataset", "test", "images").iterdir())) == PHOTOS["val"]
    assert set(chain.json("dataset", "manifest.json")["sets"]) == {"train", "val"}


@pytest.mark.parametrize(("folder", "task"), [("base", "train"), ("retrained", "retrain")])
def test_a_training_leaves_a_network_its_history_and_its_spec(chain, folder, task):
    names = {path.name for path in chain.file(folder).iterdir()}
    assert {"model.keras", "history.json", "experiment_spec.yaml", "status.json"} <= names
    assert not [name for name in names if name.startswith("model.epoch")]
    model, card = load_model(chain.file(folder))
    assert (card.input_size, card.skeleton.num_joints) == (SIZE, 18)
    history = chain.json(folder, "history.json")
    assert [row["epoch"] for row in history] == [1, 2]
    assert chain.said[task]["loss"] == history[-1]["loss"]
    assert chain.said[task]["params"] == model.count_params()


def test_a_training_says_what_its_network_is_and_draws_its_curves(chain):
    model, card = load_model(chain.file("base"))
    facts = chain.said["facts"]
    assert (facts["params"], facts["skeleton"], facts["joints"]) == (model.count_params(), card.skeleton.name, 18)
    assert facts["ap"] == chain.said["train"]["val_ap"] == pytest.approx(chain.said["evaluate_base"][0], abs=0.05)
    assert facts["gflops"] == pytest.approx(chain.said["report"]["base"]["gflops"])
    page, history = chain.file("curves").read_text(), chain.json("retrained", "history.json")  # the last one written
    curves = {key for key in ("loss", "val_loss", "val_ap", "learning_rate") if sum(key in row for row in history) > 1}
    assert page.count('<svg class="chart lines wide"') == len(curves) >= 2, "what was measured once is a number"
    assert page.count('<th scope="row">Validation ') == 4 - len(curves)
    losses = [f"{epoch['loss']:.4g}" for epoch in history]
    assert f"Loss {losses[0]} in the first epoch, {losses[-1]} in the last of {EPOCHS}; validation AP " in page
    assert f"validation AP {history[-1]['val_ap']:.3f}, at best {max(e.get('val_ap', 0) for e in history):.3f}." in page
    assert len(page) < 2e6


def test_the_precision_of_a_training_stands_in_its_folder_its_facts_its_run_and_both_pages(chain, runs):
    taken = {name: read_precision(chain.file(name)) for name in ("base", "retrained")}
    assert taken["base"] == take_precision(default("train")["mixed_precision"])
    assert chain.said["facts"]["precision"] == taken["base"].name
    assert runs["train"].data.params["training.precision"] == taken["base"].name
    assert str(taken["retrained"]) in chain.file("curves").read_text()
    report = chain.file("report.html").read_text()
    assert [str(choice) in report for choice in taken.values()] == [True, True]


def test_retraining_goes_on_from_the_pruned_network(chain):
    pruned, retrained = (load_model(chain.file(name))[0].get_weights() for name in ("pruned", "retrained"))
    assert [weights.shape for weights in pruned] == [weights.shape for weights in retrained]
    kernels = [(a.ravel(), b.ravel()) for a, b in zip(pruned, retrained, strict=True) if a.ndim == 4]
    assert min(np.corrcoef(a, b)[0, 1] for a, b in kernels) > 0.9
    assert not any(np.array_equal(a, b) for a, b in kernels)


def test_pruning_says_what_is_left(chain):
    kept, numbers = chain.said["prune"]
    before, after = (load_model(chain.file(name))[0].count_params() for name in ("base", "pruned"))
    assert (numbers["params_before"], numbers["params"]) == (before, after)
    assert after < before
    assert kept == pytest.approx(after / before)
    assert numbers["gflops"] < numbers["gflops_before"]
    summary = chain.file("summary.md").read_text()
    assert r"block\_1a\_conv\_1" in summary


def test_a_single_round_hands_the_network_on_and_asks_for_all_at_once(chain):
    assert chain.file("early", "model.keras").read_bytes() == chain.file("base", "model.keras").read_bytes()
    assert parse_spec(chain.said["rounds"][0], PruneSpec) == parse_spec(PRUNE, PruneSpec)


def test_export_and_calibration_write_their_files(chain):
    assert {path.name for path in chain.file("onnx").iterdir()} == {"model.onnx"}
    assert {path.name for path in chain.file("int8").iterdir()} == {
        "model.int8.onnx", "model.int8.cpu.onnx", "model.int8.cache",
    }  # fmt: skip
    assert chain.said["export"]["bytes"] == chain.file("onnx", "model.onnx").stat().st_size
    assert chain.said["export"]["max_relative_error"] <= 1e-4
    copies = list(chain.file("few", "images").iterdir())
    assert len(copies) == 4
    assert all(path.read_bytes() == chain.file("photos", "images", path.name).read_bytes() for path in copies)
    assert all(path.name.startswith("train") for path in copies)
    assert chain.said["sample"] == {"images": 4, "qualified": PHOTOS["train"], "left_out": 0}
    kept, numbers = chain.said["calibrate"][0], dict(chain.said["calibrate"][1])
    assert kept == []
    lost = chain.said["evaluate_retrained"][0] - chain.said["evaluate_int8"][0]
    assert numbers.pop("drop") == numbers.pop("drop_without") >= lost - 1e-9
    assert numbers == {
        "images": 4,
        "kept_in_float": 0,
        "bytes": chain.file("int8", "model.int8.onnx").stat().st_size,
        "bytes_cpu": chain.file("int8", "model.int8.cpu.onnx").stat().st_size,
    }
    page = chain.file("calibration.md").read_text()
    assert "0 convolutions stay in float." in page
    assert "(AP), so" in page
    assert page.count("| ") > 3 * 20


def test_an_evaluation_runs_the_file_that_its_artifact_means(chain):
    assert {folder: find_runnable(str(chain.file(folder))).name for folder in ("base", "onnx", "int8")} == {
        "base": "model.keras", "onnx": "model.onnx", "int8": "model.int8.cpu.onnx",
    }  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_an_evaluation_scores_what_it_found(chain, name):
    ap, numbers = chain.said[f"evaluate_{name}"]
    assert ap == numbers["AP_0.50-0.95_all"]
    assert 0 <= ap <= 1
    found = chain.json(f"found_{name}", "detections_coco_format.json")
    assert numbers["people_found"] == len(found)
    truth = chain.json("photos", "annotations", "person_keypoints_val.json")
    assert {one["image_id"] for one in found} <= {image["id"] for image in truth["images"]}
    labelled = [one for one in truth["annotations"] if one["num_keypoints"] and not one["iscrowd"]]
    assert numbers["people_labelled"] == len(labelled)
    assert chain.file(f"found_{name}", "results.csv").is_file()
    assert len(chain.json(f"found_{name}", "detections.json")["images"]) == PHOTOS["val"]


def test_what_starts_from_the_shipped_weights_finds_people(chain):
    assert chain.said["evaluate_base"][0] > 0.3
    assert chain.said["evaluate_retrained"][0] > 0.05
    scores = [chain.said[f"evaluate_{name}"][0] for name in ("retrained", "int8")]
    assert abs(scores[0] - scores[1]) < 0.1


def test_every_metrics_artifact_holds_what_the_task_returned(chain):
    for task in (*CONVERSION, "train", "retrain", "export", "sample"):
        assert chain.metrics(task) == pytest.approx(chain.said[task])
    for task in ("rounds", "prune", "calibrate", *(f"evaluate_{name}" for name in STAGES)):
        assert chain.metrics(task) == pytest.approx(chain.said[task][1])
    files = list(chain.folder.glob("*.metrics"))
    assert len(files) == 14
    assert all(math.isfinite(value) for file in files for value in json.loads(file.read_text()).values())


def test_all_tasks_are_runs_below_the_pipelines_run(runs):
    parent = runs.pop("run-7")
    assert parent.data.tags["bodyposenet.pipeline_run"] == "run-7"
    assert parent.info.status == "FINISHED"
    evaluations = {f"evaluate_{name}" for name in STAGES}
    others = {"photos", *CONVERSION.values(), "train", "prune", "retrain", "export", "register", "report"}
    others |= {"sample_calibration", "calibrate"}
    assert set(runs) == evaluations | others
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    runs["run-7"] = parent


def test_settings_are_logged_under_a_prefix(runs, chain):
    assert runs["photos"].data.params == {"data.source": "synthetic:12,6,3"}
    trained = runs["train"].data.params
    assert trained["spec.num_epoch"] == "2"
    width = default("train")["model"]["backbone_attributes"]["width_multiplier"]
    assert float(trained["spec.model.backbone_attributes.width_multiplier"]) == width
    assert runs["retrain"].data.params["spec.load_graph"] == "true"
    assert float(runs["prune"].data.params["spec.pruning_threshold"]) == 0.6
    assert runs["calibrate"].data.params["spec.method"] == "percentile"
    assert runs["calibrate"].data.params["data.kept_in_float"] == "[]"
    assert runs["evaluate_int8"].data.params["spec.model"] == "int8"
    assert runs["evaluate_int8"].data.params["spec.input_shape"] == "[192, 256]"
    for run in runs.values():
        assert all(name.startswith(("spec.", "data.", "training.")) for name in run.data.params)


@pytest.mark.parametrize(("task", "folder"), [("train", "base"), ("retrain", "retrained")])
def test_curves_are_the_history(client, runs, chain, task, folder):
    run = runs[task]
    for name in ("loss", "learning_rate"):
        points = {each.step: each.value for each in client.get_metric_history(run.info.run_id, name)}
        assert points == pytest.approx({row["epoch"]: row[name] for row in chain.json(folder, "history.json")})


def test_every_tasks_numbers_and_files_are_tracked(client, runs, chain):
    said = chain.said
    numbers = {run: said[task] for task, run in CONVERSION.items()} | {
        "prune": said["prune"][1],
        "export": said["export"],
    }
    numbers |= {"sample_calibration": said["sample"], "calibrate": said["calibrate"][1]}
    numbers |= {f"evaluate_{name}": said[f"evaluate_{name}"][1] for name in STAGES}
    for task, wanted in numbers.items():
        assert {name: runs[task].data.metrics[name] for name in wanted} == pytest.approx(wanted), task
    files = {
        "train": {"model/model.keras"},
        "retrain": {"model/model.keras"},
        "prune": {"model/model.keras", "report/pruned.html"},
        "export": {"model/model.onnx"},
        "calibrate": {f"model/model.int8{end}" for end in (".onnx", ".cpu.onnx", ".cache")},
        "register": {f"int8/model.int8{end}" for end in (".onnx", ".cpu.onnx", ".cache")},
        "report": {"report/report.html"},
    }
    for task, wanted in files.items():
        run_id = runs[task].info.run_id
        held = {each.path for top in client.list_artifacts(run_id) for each in client.list_artifacts(run_id, top.path)}
        assert wanted <= held, task


def test_the_report_run_holds_the_table(runs, chain):
    held = runs["report"].data.metrics
    figures = chain.said["report"]
    assert held["ceiling_ap"] == pytest.approx(figures["ceiling_ap"])
    for stage in STAGES:
        assert {name: held[f"{stage}.{name}"] for name in figures[stage]} == pytest.approx(figures[stage])


def test_the_version_takes_a_picture_and_returns_people(client, runs, chain):
    import mlflow

    version = client.get_model_version_by_alias("tiny", "candidate")
    assert str(version.version) == chain.said["register"] == "1"
    assert version.run_id == runs["register"].info.run_id
    photo = chain.file("dataset", "test", "images", "val_000001.jpg")
    pixels = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    people = mlflow.pyfunc.load_model("models:/tiny@candidate").predict(pixels)
    found = {entry["full_image_path"]: entry for entry in chain.json("found_retrained", "detections.json")["images"]}
    entry = found[str(photo)]
    assert len(people) == len(entry["keypoints"]) > 0
    points = np.array([person["keypoints"] for person in people])  # 0 where a joint was not found, in the file
    assert np.where(points[..., 2:] > 0, points[..., :2], 0) == pytest.approx(np.array(entry["keypoints"]), abs=0.01)


def test_the_figures_are_those_of_the_files(chain):
    figures = chain.said["report"]
    params = {name: load_model(chain.file(name))[0].count_params() for name in ("base", "pruned", "retrained")}
    assert {name: figures[name]["params"] for name in params} == params
    assert figures["int8"]["params"] == params["retrained"] == params["pruned"] < params["base"]
    assert figures["retrained"]["bytes"] == chain.file("onnx", "model.onnx").stat().st_size
    assert figures["int8"]["bytes"] == chain.file("int8", "model.int8.cpu.onnx").stat().st_size
    assert figures["pruned"]["gflops"] == pytest.approx(chain.said["prune"][1]["gflops"])
    assert 0.3 < figures["ceiling_ap"] <= 1
    for name in STAGES:
        assert figures[name]["ap"] == chain.said[f"evaluate_{name}"][0]
        assert figures[name]["latency_ms"] > 0


def test_the_page_shows_the_four_stages_and_pictures(chain):
    page = chain.file("report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for name in STAGES:
        row = chain.said["report"][name]
        shown = (name, f"{row['ap']:.3f}", count(row["params"]), size(row["bytes"]))
        assert [part for part in shown if part not in text] == []
    assert f"{chain.said['report']['ceiling_ap']:.3f}" in text
    assert "data:image/jpeg;base64," in page
    before, after = (widths(load_model(chain.file(name))[0]) for name in ("base", "pruned"))
    for found in (page, chain.file("pruned.html").read_text()):
        assert [
            layer for layer, of in before.items() if f"<title>{layer}: {after[layer]} of {of}</title>" not in found
        ] == []
    assert f"{sum(after.values()):,} of {sum(before.values()):,} stayed" in page


def test_nobody_labelled_fails_the_task_and_is_told(chain, tmp_path, capfd):
    shutil.copytree(chain.file("dataset"), tmp_path / "dataset")
    spec = chain.json("dataset", "dataset_spec.json")
    truth = tmp_path / "dataset" / spec["test_data"]["annotation_root_dir_path"]
    truth.write_text(json.dumps(json.loads(truth.read_text()) | {"annotations": []}))
    outputs = str(tmp_path / "found"), str(tmp_path / "metrics")
    with pytest.raises(SystemExit, match=r"^2$"):
        tasks.evaluate(str(chain.file("onnx")), str(tmp_path / "dataset"), INFERENCE, "onnx", *outputs)
    assert "nobody is labelled in" in capfd.readouterr().err


def test_a_wrong_spec_is_told_by_its_key_before_the_training_starts(chain, tmp_path, capfd):
    settings = train_settings("train") | {"num_epochs": 3}
    outputs = [str(tmp_path / name) for name in ("model", "metrics", "page")]
    with pytest.raises(SystemExit, match=r"^2$"):
        tasks.train(str(chain.file("dataset")), settings, None, *outputs)
    said = capfd.readouterr().err
    assert re.search(r"train failed: train_spec: num_epochs: .*did you mean 'num_epoch'", said)
    assert "Traceback" not in said
    assert not (tmp_path / "model").exists()
