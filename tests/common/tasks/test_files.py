"""Task files: what is taken of artifacts that importers and other people's components bring, and how else is told."""

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.tasks.files import (
    find_calibration,
    find_dataset,
    find_detections,
    find_for_gpus,
    find_keras,
    find_onnx,
    find_runnable,
)


@pytest.fixture
def make(tmp_path):
    """Makes files below a folder, which stands for an artifact."""

    def files(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return files


QUANTIZED = ("model.int8.onnx", "model.int8.cpu.onnx", "model.int8.cache")


@pytest.mark.parametrize(
    ("find", "names", "wanted"),
    [
        (find_keras, ["model.keras", "history.json"], "model.keras"),
        (find_keras, ["model.keras", "other.keras"], "model.keras"),
        (find_keras, ["mine.keras", "notes.txt"], "mine.keras"),
        (find_onnx, ["model.onnx", "model.fp16.onnx"], "model.onnx"),
        (find_onnx, ["net.onnx"], "net.onnx"),
        (find_for_gpus, QUANTIZED, "model.int8.onnx"),
        (find_for_gpus, ["model.onnx"], "model.onnx"),
        (find_runnable, QUANTIZED, "model.int8.cpu.onnx"),
        (find_runnable, ["model.onnx"], "model.onnx"),
        (find_runnable, ["mine.keras"], "mine.keras"),
    ],
)
def test_a_network_is_found_in_the_folder_that_holds_it(make, find, names, wanted):
    assert find(str(make(*names))).name == wanted


@pytest.mark.parametrize(
    ("find", "name"),
    [(find_keras, "a.keras"), (find_onnx, "a.onnx"), (find_runnable, "a.onnx"), (find_runnable, "a.keras")],
)
def test_a_network_may_be_a_single_file(make, find, name):
    file = make(name) / name
    assert find(str(file)) == file


@pytest.mark.parametrize(
    ("find", "names", "problem"),
    [
        (find_keras, ["model.onnx"],
         "is not one Keras network: it holds model.onnx; give a folder with model.keras, or one file"),
        (find_keras, ["dataset_spec.json", "manifest.json", "test/a.jpg", "train-0", "train-1", "val-0", "val-1"],
         "it holds dataset_spec.json, manifest.json, test, train-0, train-1 and 2 more;"),
        (find_keras, ["a.keras", "b.keras"], "is not one Keras network: it holds a.keras, b.keras;"),
        (find_onnx, [], "is not one exported network: nothing is there; give a folder with model.onnx"),
        (find_runnable, ["a.txt"], "give a folder with model.keras or model.onnx or model.int8.cpu.onnx, or one file"),
        (find_dataset, ["images/a.jpg", "annotations/train.json"],
         "is no converted dataset: it holds annotations, images; give what dataset_join wrote"),
        (find_detections, ["model.onnx"], "holds no people found: it holds model.onnx; give what evaluate wrote"),
    ],
)  # fmt: skip
def test_another_output_in_its_place_is_told_with_what_it_holds_and_what_is_wanted(make, find, names, problem):
    place = make(*names)
    with pytest.raises(UserError) as told:
        find(str(place))
    assert str(told.value).startswith(f"{place}: ")
    assert problem in str(told.value)


@pytest.mark.parametrize("find", [find_keras, find_dataset, find_calibration, find_detections])
def test_a_file_of_another_kind_is_told_as_one(make, find):
    with pytest.raises(UserError, match="it is a single file; give "):
        find(str(make("people.zip") / "people.zip"))


def test_no_network_at_all_is_told():
    with pytest.raises(UserError, match=r"^model: is not one network: nothing is there; give a folder with"):
        find_runnable("")


@pytest.mark.parametrize(("names", "below"), [(["images/a.jpg"], "images"), (["a.jpg"], ".")])
def test_photos_to_calibrate_with_are_those_in_images_or_the_folder_s_own(make, names, below):
    place = make(*names)
    assert find_calibration(str(place)) == place / below
