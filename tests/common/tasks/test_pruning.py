"""Pruning's tasks: cuts, rounds and the choice among networks, as components call them."""

import json
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import rounds_run
from support.pose_net import CARD, pose_net

from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.tasks import deployment, evaluation, pruning
from bodyposenet.common.tasks.files import NOBODY
from bodyposenet.common.tasks.pruning import with_cut

SPEC = {"pruning_threshold": 0.25, "min_num_filters": 2, "pruning_granularity": 1}
AMOUNTS = ("pruning_threshold", "target_params", "target_flops")


@given(before=st.sampled_from(AMOUNTS), after=st.sampled_from(AMOUNTS))
def test_a_cut_replaces_whichever_threshold_or_target_there_was(before, after):
    spec = parse_spec(with_cut({"normalizer": "L2", before: 0.9}, {after: 0.5}), PruneSpec)
    default = PruneSpec()
    for name in AMOUNTS:
        assert getattr(spec, name) == (0.5 if name == after else getattr(default, name))
    assert spec.normalizer == "L2"


def test_a_cut_of_other_keys_leaves_the_target():
    assert with_cut({"target_flops": 0.5}, {"min_num_filters": 8}) == {"target_flops": 0.5, "min_num_filters": 8}
    assert with_cut(SPEC, {}) == SPEC


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset as ``dataset_join`` leaves it, and a network as ``train`` does."""
    folder = tmp_path_factory.mktemp("data")
    rounds_run.prepare(folder)
    (folder / "base").mkdir()
    (folder / "base.keras").rename(folder / "base" / "model.keras")
    shutil.copytree(folder / "records", folder / "dataset")
    shutil.copy(folder / "dataset_spec.json", folder / "dataset")
    return folder


def train_spec(data, **changes):
    return rounds_run.retraining_of(data, **changes).model_dump(mode="json", by_alias=True, exclude_none=True)


def outputs(folder, *names):
    return [str(folder / name) for name in names]


@pytest.mark.slow
def test_a_target_and_training_data_decide_what_a_cut_takes(data, tmp_path, capsys):
    cut = {"target_flops": 0.5, "criterion": "taylor"}
    files = outputs(tmp_path, "pruned", "metrics", "summary.md", "page.html")
    looked_at = {"dataset": str(data / "dataset"), "train_spec": train_spec(data)}
    kept, numbers = pruning.prune(str(data / "base"), SPEC, *files, cut=cut, **looked_at)
    assert 0.42 <= numbers["gflops"] / numbers["gflops_before"] <= 0.5
    assert kept == numbers["params"] / numbers["params_before"]
    assert json.loads((tmp_path / "metrics").read_text()) == numbers
    page = (tmp_path / "page.html").read_text()
    assert "taylor" in page
    assert f"{numbers['threshold']:.4g}" in page
    with pytest.raises(SystemExit, match="2"):
        pruning.prune(str(data / "base"), SPEC, *files, cut=cut)
    assert "prune failed: criterion: taylor weighs filters by training data" in capsys.readouterr().err


@pytest.mark.slow
def test_all_rounds_but_the_last_leave_the_last_its_share(data, tmp_path):
    spec = {**SPEC, "target_params": 0.25, "rounds": 3}
    again = {**train_spec(data, epochs=1), "distillation": {"weight": 0.5}}
    files = outputs(tmp_path, "early", "metrics")
    last, numbers = pruning.prune_rounds(str(data / "base"), str(data / "dataset"), spec, again, *files)
    base, early = (load_model(folder)[0].count_params() for folder in (data / "base", tmp_path / "early"))
    assert (numbers["rounds"], numbers["params_before"], numbers["params"]) == (2, base, early)
    assert early / base == pytest.approx(0.25 ** (2 / 3), abs=0.02)
    assert last["target_params"] * early == pytest.approx(0.25 * base)
    for number in (1, 2):  # the network that comes in is the teacher of every round
        place = tmp_path / "early" / "rounds" / f"round_{number}"
        taught = yaml.safe_load((place / "experiment_spec.yaml").read_text())["distillation"]
        assert taught["teacher"] == str(data / "base" / "model.keras")
        assert json.loads((place / "history.json").read_text())[0]["distillation_loss"] > 0
    pages = outputs(tmp_path, "pruned", "prune_metrics", "summary.md", "page.html")
    done = pruning.prune(str(tmp_path / "early"), last, *pages)[1]
    assert 0.23 <= done["params"] / base <= 0.25


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Networks of three sizes as ``export`` leaves them, the largest first, with what their prunings noted."""
    folder = tmp_path_factory.mktemp("exported")
    for width in (16, 8, 4):
        save_model(pose_net(width=width), folder / f"keras{width}" / "model.keras", CARD)
        deployment.export(str(folder / f"keras{width}"), str(folder / f"onnx{width}"), str(folder / "metrics"))
        figures = {"params_before": 16e3, "gflops_before": 1.6, "params": width * 1e3, "gflops": width / 10}
        (folder / f"figures{width}").write_text(json.dumps(figures))
    return folder


def choose(exported, folder, *, base_ap=0.5, aps=(0.49, 0.3), drop=0.02):
    cuts = [{"target_flops": 0.5}, {"target_flops": 0.25, "min_num_filters": 8.0}]
    made = [
        (str(exported / f"onnx{width}"), str(exported / f"figures{width}"), ap, cut)
        for width, ap, cut in zip((8, 4), aps, cuts, strict=True)
    ]
    files = outputs(folder, "chosen", "page.html", "metrics", "reason")
    return evaluation.choose_smallest(str(exported / "onnx16"), base_ap, made, drop, *files)


@pytest.mark.parametrize(("drop", "width", "ap"), [(0.02, 8, 0.49), (0.2, 4, 0.3)])
def test_the_smallest_network_within_the_budget_is_handed_on(exported, tmp_path, drop, width, ap):
    found, numbers = choose(exported, tmp_path, drop=drop)
    model = exported / f"onnx{width}" / "model.onnx"
    assert found == numbers["ap"] == ap
    assert (tmp_path / "chosen" / "model.onnx").read_bytes() == model.read_bytes()
    assert (numbers["params"], numbers["gflops"]) == (width * 1e3, width / 10)
    assert numbers["bytes"] == model.stat().st_size
    assert json.loads((tmp_path / "metrics").read_text()) == numbers
    reason = (tmp_path / "reason").read_text()
    assert reason.startswith("target_flops 0." + ("5 is" if width == 8 else "25, min_num_filters 8 is"))
    assert reason in (tmp_path / "page.html").read_text().replace("&#39;", "'")


@pytest.mark.parametrize(("base_ap", "aps", "why"), [
    (0.5, (0.47, 0.3), "No network keeps AP 0.480, which is 0.020 below the base's; the best, target_flops 0.5, has"),
    (NOBODY, (NOBODY, NOBODY), "The AP of the base was not measured: nothing is promoted."),
])  # fmt: skip
def test_with_none_within_the_budget_nothing_is_handed_on_and_it_says_why(exported, tmp_path, base_ap, aps, why):
    found, numbers = choose(exported, tmp_path, base_ap=base_ap, aps=aps)
    assert found == NOBODY
    assert "ap" not in numbers
    assert {path.name for path in (tmp_path / "chosen").iterdir()} == {"reason.txt"}
    reason = (tmp_path / "reason").read_text()
    assert reason.startswith(why)
    assert reason == (tmp_path / "chosen" / "reason.txt").read_text()
    assert np.isfinite(list(numbers.values())).all()
