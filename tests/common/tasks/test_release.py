"""Gate, challenge and crown: which network is registered, which becomes the champion, and what a failure leaves."""

import json
import shutil

import cv2
import pytest
from support.local_server import free_port
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


def challenge(network, dataset, folder, *, champion="", hold_out=""):
    """A challenge as pipelines have it: AP of the champion, of the challenger, of the champion on the new photos."""
    outputs = {name: str(folder / name) for name in ("kept", "challenger_ap", "champion_new_ap")}
    given = {"onnx": str(network), "hold_out": hold_out, "outputs": outputs}
    ap = tasks.challenge(champion, "crowned", str(dataset), SPEC, **given)
    return ap, *(json.loads((folder / name).read_text()) for name in ("challenger_ap", "champion_new_ap"))


def crown(network, dataset, folder, ap, *, inputs, champion="", hold_out=""):
    """A night's challenge and registration; the version, its tags and the page."""
    folder.mkdir()
    met = challenge(network, dataset, folder, champion=champion, hold_out=hold_out)
    aps = {"ap": ap, "hold_out_ap": met[1], "champion_new_ap": met[2]}
    page, against = folder / "decision.md", {"champion": champion, "champion_ap": met[0]}
    version = tasks.register(
        str(network), None, SPEC, "crowned", aps, str(page), **against, tags={"inputs": inputs},
        kept={"hold_out": str(folder / "kept")},
    )  # fmt: skip
    return version, find_version("crowned", version).tags, page.read_text()


@pytest.fixture
def blind(network, tmp_path):
    """A network that finds nobody."""
    from onnx import numpy_helper

    folder = tmp_path / "blind"
    folder.mkdir()
    model = read_model(network / ONNX)
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.dtype.kind == "f":
            each.CopyFrom(numpy_helper.from_array(values * 0, each.name))
    write_model(model, folder / ONNX)
    return folder


@pytest.fixture
def dark_dataset(dataset, tmp_path):
    """The next night's: the person's photo is held out no more, another without the person is."""
    folder = tmp_path / "dark"
    shutil.copytree(dataset, folder)
    cv2.imwrite(str(folder / "test/images/1.png"), DARK + 1)
    return folder


def test_the_first_champion_s_photos_are_what_later_networks_meet_it_on(
    network, blind, dataset, dark_dataset, store, tmp_path
):
    first, tags, page = crown(network, dataset, tmp_path / "1", 0.9, inputs="a")
    assert "Kept with it: the held-out photos (" in page
    place = tags["hold_out"]
    second, tags, page = crown(blind, dark_dataset, tmp_path / "2", 0.0, inputs="b", champion=first, hold_out=place)
    met = challenge(blind, dark_dataset, tmp_path / "2", champion=first, hold_out=place)
    assert met[0] > 0.5 > met[1] == 0.0, "there the champion sees the person, and the new network does not"
    assert met[2] == 0.0, "on the new photos neither can"
    assert find_champion("crowned").version == first != second
    assert "AP 0.000 does not beat version 1" in page
    assert "On the dataset's own held-out photos it has 0.000, the champion 0.000." in page
    assert tags["hold_out"] == place, "kept on for whoever comes next, and not stored again"
    assert "Kept with it" not in page


def test_a_network_that_is_better_on_the_kept_photos_takes_the_place_however_the_new_ones_look(
    network, blind, dataset, dark_dataset, store, tmp_path
):
    """By the new photos alone neither is better, and nobody would ever take over."""
    first, tags, _ = crown(blind, dataset, tmp_path / "1", 0.1, inputs="a")
    place = tags["hold_out"]
    second, tags, _ = crown(network, dark_dataset, tmp_path / "2", 0.0, inputs="b", champion=first, hold_out=place)
    assert find_champion("crowned").version == second
    assert (tags["hold_out"], float(tags["metric.ap"])) == (place, 0.0)
    assert float(tags["metric.hold_out_ap"]) > 0.5


def test_the_same_photos_are_looked_at_once(network, dataset, store, tmp_path):
    first, tags, _ = crown(network, dataset, tmp_path / "1", 0.9, inputs="a")
    folder = tmp_path / "2"
    folder.mkdir()
    met = challenge(network, dataset, folder, champion=first, hold_out=tags["hold_out"])
    assert met[0] == met[1] > 0.5
    assert met[2] == NOBODY
    assert (folder / "kept/reference.txt").read_text() == tags["hold_out"]


def test_a_champion_from_before_photos_were_kept_gets_those_of_the_first_challenge(network, dataset, store, tmp_path):
    first, _ = register(network, tmp_path, 0.9, inputs="a")
    _, tags, _ = crown(network, dataset, tmp_path / "2", 0.9, inputs="b", champion=first)
    assert find_champion("crowned").version == first, "the same network is no better"
    assert find_champion("crowned").tags["hold_out"] == tags["hold_out"]


def test_kept_photos_that_are_gone_are_kept_anew_and_told(network, dataset, store, tmp_path, caplog):
    first, tags, _ = crown(network, dataset, tmp_path / "1", 0.9, inputs="a")
    gone = tags["hold_out"].replace("hold_out-", "hold_out-gone-")
    _, tags, _ = crown(network, dataset, tmp_path / "2", 0.9, inputs="b", champion=first, hold_out=gone)
    assert "the photos kept with the champion are there no longer" in caplog.text
    assert tags["hold_out"] not in (gone, "")
    assert (tmp_path / "2/kept/hold_out.zip").is_file()


def test_without_a_store_no_photos_are_kept(network, dataset, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert challenge(network, dataset, tmp_path) == (NOBODY, NOBODY, NOBODY)
    assert (tmp_path / "kept/reference.txt").read_text() == ""


def test_the_base_network_is_kept_with_the_version_and_its_size_told(network, store, tmp_path):
    from bodyposenet.common.model.files.bundled import weights_path

    base = tmp_path / "base"
    base.mkdir()
    shutil.copy(weights_path("pretrained:drawn_people"), base / "model.keras")
    page, kept = tmp_path / "decision.md", {"base": str(base)}
    given = str(network), None, SPEC, "crowned", {"ap": 0.5}, str(page)
    version = tasks.register(*given, kept=kept, tags={"inputs": "a"})
    size = (base / "model.keras").stat().st_size
    assert f"Kept with it: the base network ({size / 1e6:.1f} MB)." in page.read_text()
    assert find_version("crowned", version).tags["base_bytes"] == str(size)
    again = tasks.register(*given, kept=kept, tags={"inputs": "a"})
    assert again == version


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
