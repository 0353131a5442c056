"""The graph that is compiled for Kubeflow, run here again and again: what a change makes run anew, and how it ends."""

import re
import shutil

import cv2
import pytest
from support.local_run import run_pipeline, tiny_arguments

from bodyposenet.common.data.synthetic.dataset import synthesize

ALWAYS = {"fingerprint", "summary"}
REFUSED = {"finish-unregistered"}  # the end of a run whose network the gate refused
CONVERSION = {"photos", "dataset-convert", "dataset-join"}
AFTER = {
    "train", "prune-rounds", "prune", "retrain", "export", "sample-calibration", "calibrate",
    "evaluate-base", "evaluate-pruned", "evaluate-retrained", "evaluate-int8", "gate", "report",
}  # fmt: skip


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def again(tmp_path_factory, patch, quick_tasks):
    """Runs the pipeline on the same photos, with its earlier runs remembered."""
    folder = tmp_path_factory.mktemp("dag")
    synthesize(folder / "photos", train=8, val=4)
    arguments = tiny_arguments() | {"deploy_spec": {"calibration_images": 2}, "data": str(folder / "photos")}

    def run(name, **changes):
        return run_pipeline(folder, name, "prune_retrain", patch, **{**arguments, **changes})

    return folder, run


@pytest.fixture(scope="module")
def first(again):
    return again[1]("first")


@pytest.mark.slow
def test_a_run_with_ap_0_ends_well_and_says_why_nothing_was_registered(first):
    assert first.failure == ""
    assert first.tasks == ALWAYS | CONVERSION | AFTER | REFUSED
    assert first.said("gate", "decision").startswith("**Not passed.** AP is 0: nobody was found.")
    summary = first.said("summary", "page")
    assert summary.startswith("# prune-retrain: SUCCEEDED\n")
    assert [row.split("|")[2].strip() for row in summary.splitlines()[6:-2]] == ["finished"] * (
        len(CONVERSION) + len(AFTER) - 1 + 2  # one round: prune-rounds has no run; the fingerprint and the end have one
    )


@pytest.mark.slow
def test_pages_are_small_enough_for_kubeflow_and_need_no_network(first):
    shown = {("report", "page"): "<svg", ("prune", "picture"): "<svg"}  # of one epoch there is a number, and no curve
    shown |= dict.fromkeys([("train", "curves"), ("retrain", "curves")], '<th scope="row">Loss</th>')
    for (task, page), part in shown.items():
        text = first.said(task, page)
        assert part in text
        assert len(text.encode()) <= 2e6
        assert "http://" not in text.replace("http://www.w3.org/", "")
        assert "https://" not in text


@pytest.mark.slow
def test_with_nothing_changed_all_but_the_fingerprint_come_from_the_cache(again, first):
    found = again[1]("same")
    assert found.tasks == ALWAYS | REFUSED
    assert found.said("summary", "page").startswith("# prune-retrain: SUCCEEDED\n")


@pytest.mark.slow
def test_a_scheduled_run_with_nothing_new_ends_early_and_says_so(again, first):
    found = again[1]("scheduled", only_if_new=True)
    assert (found.tasks, found.failure) == (ALWAYS, "")
    wanted = r"nothing new: run (first|same) had the same photos, weights and specs"  # the newest of those that ran
    assert re.fullmatch(wanted, found.said("fingerprint", "reason"))
    assert found.said("summary", "page").startswith("# prune-retrain: NOTHING NEW\n")


@pytest.mark.slow
def test_another_bound_is_news_and_asks_the_gate_alone(again, first):
    assert again[1]("bound", only_if_new=True, min_ap=0.4).tasks == ALWAYS | REFUSED | {"gate"}


@pytest.mark.slow
def test_another_threshold_asks_the_gate_alone(again, first):
    assert again[1]("stricter", min_ap=0.5).tasks == ALWAYS | REFUSED | {"gate"}


@pytest.mark.slow
def test_other_calibration_photos_leave_the_trainings_alone(again, first):
    found = again[1]("calibrated", deploy_spec={"calibration_images": 3})
    assert found.failure == ""
    assert found.tasks - {"gate"} == ALWAYS | REFUSED | {"sample-calibration", "calibrate", "evaluate-int8", "report"}


@pytest.mark.slow
def test_one_photo_more_is_converted_and_trained_on(again, first):
    folder, run = again
    photos = folder / "photos" / "images"
    cv2.imwrite(str(photos / "another.jpg"), cv2.imread(str(next(photos.iterdir())))[::-1])
    found = run("one-more", only_if_new=True)
    assert found.tasks == (ALWAYS | CONVERSION | AFTER | REFUSED) - {"gate"}  # which was told the same two APs
    assert found.said("fingerprint", "reason") == "new inputs"


@pytest.mark.slow
def test_all_mistakes_of_all_specs_are_told_before_anything_runs(again):
    folder, run = again
    (folder / "broken.yaml").write_text("pruning_threshold: 0.2\nequalization_criterion: [union")
    found = run("wrong", train_spec={"num_epochs": 3}, prune_spec={"from": str(folder / "broken.yaml")})
    assert found.tasks == {"summary"}
    assert found.failure
    summary = found.said("summary", "page")
    assert summary.startswith("# prune-retrain: FAILED\n")
    assert "**fingerprint failed**" in summary
    assert "\n  - train\\_spec: num\\_epochs: unknown key; did you mean 'num\\_epoch'?\n" in summary
    assert re.search(r"broken\.yaml:[23]: not valid YAML", summary)


@pytest.mark.slow
def test_a_conversion_that_finds_no_good_photo_is_reported(again):
    folder, run = again
    broken = folder / "broken"
    shutil.copytree(folder / "photos", broken)
    for photo in (broken / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:100])
    found = run("unreadable", data=str(broken))
    assert found.failure
    assert not found.tasks & {"train", "export", "evaluate-base", "report"}
    summary = found.said("summary", "page")
    assert summary.startswith("# prune-retrain: FAILED\n")
    assert "**dataset\\_join failed**" in summary
    assert r"this is no readable image: every photo was left out; check images\_root\_dir\_path" in summary
