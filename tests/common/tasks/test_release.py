"""Gate, challenge and crown: which network is registered, which becomes the champion, and what a failure leaves."""

import json

import cv2
import pytest
from support.gcs_server import free_port
from support.person_net import BRIGHT, DARK, IN_PHOTO, write_network

from bodyposenet.common import tasks
from bodyposenet.common.data.photo_set import DATASET_SPEC, keep_test_half, make_dataset_spec
from bodyposenet.common.deploy.onnx_file import read_model, write_model
from bodyposenet.common.errors import AwayError, PassingError, UserError
from bodyposenet.common.tasks.failure import VARIABLE, report_failures
from bodyposenet.common.tasks.files import NOBODY, ONNX
from bodyposenet.common.tracking.registry import find_champion, find_version

SPEC = {"input_shape": [128, 128], "keep_aspect_ratio_mode": "pad_image_input"}
COCO = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]  # the joints of IN_PHOTO in COCO's order


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    write_network(folder / ONNX)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A converted dataset whose held-out photos are a bright one with the person and a dark one with nobody."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    for name, picture in (("1.png", BRIGHT), ("2.png", DARK)):
        cv2.imwrite(str(folder / "images" / name), picture)
    points = [value for x, y in IN_PHOTO[COCO] for value in (float(x), float(y), 2)]
    left, top, right, bottom = (*IN_PHOTO.min(0), *IN_PHOTO.max(0))
    box = [float(left), float(top), float(right - left), float(bottom - top)]
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, "num_keypoints": 17, "iscrowd": 0}
    person |= {"bbox": box, "area": box[2] * box[3]}
    images = [{"id": n, "file_name": f"{n}.png", "width": 256, "height": 256} for n in (1, 2)]
    document = {"images": images, "annotations": [person], "categories": [category()]}
    for half in ("train", "val"):
        (folder / "annotations" / f"person_keypoints_{half}.json").write_text(json.dumps(document))
    kept = keep_test_half(make_dataset_spec(folder), folder / "dataset")
    (folder / "dataset" / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True))
    return folder / "dataset"


def category():
    """COCO's person."""
    pairs = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = ["nose", *(f"{side}_{name}" for name in pairs for side in ("left", "right"))]
    return {"id": 1, "name": "person", "keypoints": names}


@pytest.fixture
def store(tracked_at, tmp_path_factory):
    return tracked_at(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")


def register(network, tmp_path, ap, *, inputs, champion="", champion_ap=NOBODY):
    page = tmp_path / "decision.md"
    against = {"champion": champion, "champion_ap": champion_ap, "tags": {"inputs": inputs}}
    version = tasks.register(str(network), None, SPEC, "crowned", {"ap": ap}, str(page), **against)
    return version, page.read_text()


@pytest.mark.parametrize(("aps", "wanted", "passes", "reason"), [
    ((0.5, 0.49), (0.0, 0.02), True, "AP 0.500 in float and 0.490 in 8 bits."),
    ((0.5, 0.52), (0.5, 0.0), True, "AP 0.500 in float"),
    ((0.49, 0.49), (0.5, 0.02), False, "AP 0.490 is below the least that is wanted, 0.500."),
    ((0.5, 0.4), (0.0, 0.02), False, "8 bits cost 0.100 AP, more than the 0.020 that are allowed."),
    ((0.0, 0.0), (0.0, 0.02), False, "AP is 0: nobody was found."),
    ((NOBODY, NOBODY), (0.0, 0.02), False, "Nobody is labelled"),
])  # fmt: skip
def test_a_network_passes_with_enough_ap_and_little_loss_in_8_bits(tmp_path, monkeypatch, aps, wanted, passes, reason):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    page = tmp_path / "decision.md"
    assert tasks.gate(*aps, min_ap=wanted[0], max_int8_drop=wanted[1], page=str(page)) is passes
    said = page.read_text().replace(r"\_", "_")
    assert said.startswith(f"**{'Passed' if passes else 'Not passed'}.** {reason}")


def test_only_what_is_better_on_the_same_photos_takes_the_champion_s_place(network, store, tmp_path):
    first, told_first = register(network, tmp_path, 0.5, inputs="a")
    assert find_champion("crowned").version == first
    assert "`models:/crowned@champion`. It is the first champion, with AP 0.500." in told_first
    second, told_second = register(network, tmp_path, 0.6, inputs="b", champion=first, champion_ap=0.6)
    assert find_champion("crowned").version == first
    assert "@candidate`. AP 0.600 does not beat version 1, which has 0.600 on these photos." in told_second
    third, told_third = register(network, tmp_path, 0.61, inputs="c", champion=first, champion_ap=0.6)
    assert find_champion("crowned").version == third
    assert "@champion`. AP 0.610 beats version 1, which has 0.600 on the same photos." in told_third
    assert [first, second, third] == ["1", "2", "3"]


def test_the_same_network_is_registered_once_however_often_the_task_is_tried(network, store, tmp_path):
    first = register(network, tmp_path, 0.5, inputs="a")
    assert register(network, tmp_path, 0.5, inputs="a") == first
    assert register(network, tmp_path, 0.5, inputs="b", champion="1", champion_ap=0.5)[0] == "2"


def test_who_became_the_champion_meanwhile_is_not_dethroned_by_a_network_that_it_did_not_meet(network, store, tmp_path):
    first, _ = register(network, tmp_path, 0.5, inputs="a")
    second, _ = register(network, tmp_path, 0.7, inputs="b", champion=first, champion_ap=0.5)
    third, told_third = register(network, tmp_path, 0.6, inputs="c", champion=first, champion_ap=0.5)
    assert find_champion("crowned").version == second != third
    assert "Version 2 has become the champion meanwhile; run again to challenge that." in told_third


def test_a_worse_twin_of_the_champion_made_from_the_same_does_not_take_its_place(network, store, tmp_path):
    first, _ = register(network, tmp_path, 0.5, inputs="a")
    other = tmp_path / "other"
    other.mkdir()
    model = read_model(network / ONNX)
    model.doc_string = "another training"
    write_model(model, other / ONNX)
    twin, told_twin = register(other, tmp_path, 0.4, inputs="a")
    assert (find_champion("crowned").version, twin) == (first, "2")
    assert "AP 0.400 does not beat version 1, which has 0.500 on these photos." in told_twin


def test_a_store_that_is_away_fails_the_task_so_that_it_is_tried_again(network, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SystemExit, match=r"^2$"):
        register(network, tmp_path, 0.5, inputs="a")
    assert "register failed: " in capfd.readouterr().err
    assert not (network / "tracking_buffer").exists()


def test_only_what_a_version_should_say_becomes_its_tags(network, store, tmp_path):
    tags = {"inputs": "a", "params": 5, "store_session_info": "bucket and secret"}
    page = str(tmp_path / "decision.md")
    version = tasks.register(str(network), None, SPEC, "crowned", {"ap": 0.5}, page, tags=tags)
    held = find_version("crowned", version).tags
    assert (held["inputs"], held["params"], held["skeleton"]) == ("a", "5", "bpnet_18_joints")
    assert "store_session_info" not in held


def test_a_challenge_evaluates_the_champion_on_the_new_photos(network, dataset, store, tmp_path):
    version, _ = register(network, tmp_path, 0.123, inputs="a")
    ap = tasks.challenge(version, "crowned", str(dataset), SPEC)
    outputs = str(tmp_path / "found"), str(tmp_path / "metrics")
    assert ap == tasks.evaluate(str(network), str(dataset), SPEC, "again", *outputs)[0]
    assert ap > 0.5, "the network sees the person"


def test_without_a_champion_nothing_is_evaluated(store):
    assert tasks.challenge("", "crowned", "no such dataset", SPEC) == NOBODY


def test_without_a_store_nothing_is_registered_and_the_page_says_so(network, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    version, page = register(network, tmp_path, 0.5, inputs="a")
    assert (version, page) == ("", "Nothing was registered: no tracking store is set.\n")


def test_a_task_that_fails_leaves_its_reason_where_kubernetes_looks(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "last_words"))

    def convert():
        raise UserError("is empty", where="photos/", fix="put some in")

    with pytest.raises(SystemExit) as ended:
        report_failures(convert)()
    assert ended.value.code == 2
    report = "convert failed: photos/: is empty; put some in"
    assert (tmp_path / "last_words").read_text() == report
    assert capfd.readouterr().err == f"{report}\n"


@pytest.fixture
def in_a_pod(monkeypatch, tmp_path):
    """What a pod has in its environment, whose patience is short here."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "last_words"))
    monkeypatch.setattr("bodyposenet.common.tasks.failure.WAITS", (0.01, 0.02))


def test_a_server_that_is_away_is_waited_for_in_a_pod_and_told(in_a_pod, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SystemExit) as ended:
        tasks.gather_photos("gs://bucket/photos", str(tmp_path / "photos"))
    assert ended.value.code == 2
    *waited, last = capfd.readouterr().err.splitlines()
    assert [line.rpartition("; ")[2] for line in waited if line.startswith("gather_photos: ")] == [
        "tried again in 0.01 s (1 of 2)", "tried again in 0.02 s (2 of 2)",
    ]  # fmt: skip
    assert last.startswith("gather_photos failed: gs://bucket/photos")


def test_a_server_that_comes_back_costs_no_more_than_the_wait(in_a_pod, capfd):
    answers = iter([PassingError("is away"), PassingError("is away"), 7])

    @report_failures
    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert ask() == 7
    assert "failed" not in capfd.readouterr().err


@pytest.mark.parametrize("error", [UserError("is wrong"), AwayError("has no credentials"), ValueError("a bug")])
def test_what_does_not_pass_by_itself_is_not_waited_for(in_a_pod, error):
    calls = []

    @report_failures
    def ask():
        calls.append(1)
        raise error

    with pytest.raises(SystemExit):
        ask()
    assert len(calls) == 1


def test_a_bug_ends_with_1_and_its_traceback(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "last_words"))

    def convert():
        return 1 // 0

    with pytest.raises(SystemExit) as ended:
        report_failures(convert)()
    assert ended.value.code == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert len((tmp_path / "last_words").read_bytes()) <= 4000
