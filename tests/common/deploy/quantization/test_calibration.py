import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import h5py
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.deploy.export.fp16 import export_half
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import card_of_model
from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder, from_tensorfile
from bodyposenet.common.deploy.quantization.float_network import widen_weights
from bodyposenet.common.deploy.quantization.observer import EVERY
from bodyposenet.common.deploy.quantization.quantize import quantize_int8, quantize_with_cache
from bodyposenet.common.deploy.quantization.tensorfile import Tensorfile, write_tensorfile
from bodyposenet.common.deploy.quantization.tensorrt_cache import cache_text, parse_cache
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import decode_photo
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.pipelines.specs import default

SIZE = (64, 96)
FITTING = Fitting(SIZE, CARD)
FORMS = ("net.int8.onnx", "net.int8.cpu.onnx", "net.int8.cache")


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibration") / "net.keras"
    save_model(pose_net(), path, CARD)
    return path


@pytest.fixture(scope="module")
def floats(keras_file):
    return export_onnx(keras_file, keras_file.with_suffix(".onnx")).path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """20 photos of several sizes and kinds, and what is no photo."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(3)
    for number in range(20):
        image = random.integers(0, 255, (int(random.integers(5, 9)), int(random.integers(5, 9)), 3), np.uint8)
        image = cv2.resize(image, tuple(random.integers(60, 120, 2).tolist()), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:02d}{('.jpg', '.PNG')[number % 2]}"), image)
    (folder / "notes.txt").write_text("not a photo")
    (folder / "below").mkdir()
    shutil.copy(folder / "00.jpg", folder / "below" / "deep.jpg")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_cache_is_written_as_tensorrt_writes_it():
    assert cache_text({"input_1": 1.0}) == "TRT-8501-EntropyCalibration2\ninput_1: 3c010204\n"


@given(st.dictionaries(st.from_regex(r"[a-z0-9_/:]{1,20}", fullmatch=True), st.floats(2**-40, 2.0**60)))
def test_a_cache_reads_back_as_the_float32_scales_that_it_was_written_with(ranges):
    expected = {name: float(np.float32(amax / 127)) for name, amax in ranges.items()}
    assert parse_cache(cache_text(ranges)) == expected


def test_a_cache_of_tensorrt_is_read_short_numbers_and_odd_names_included():
    text = "TRT-10901-EntropyCalibration2\n(Unnamed Layer* 3) [Constant]_output: 0\na: b/c: 3C010204\r\n\n"
    assert parse_cache(text) == {
        "(Unnamed Layer* 3) [Constant]_output": 0.0,
        "a: b/c": float(np.float32(1 / 127)),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "c.bin: begins with ''"),
        ("\x7fELF", "begins with .*, not with TRT-<version>-EntropyCalibration2"),
        ("TRT-8501-EntropyCalibration2\ninput_1: 3c010204\ninput_2: 3c01020g", "c.bin:3: 'input_2: 3c01020g' is no"),
        ("TRT-8501-EntropyCalibration2\ninput_1", "c.bin:2: 'input_1' is no tensor with its scale; remove"),
    ],
)
def test_what_is_no_cache_is_told_with_its_line(text, problem):
    with pytest.raises(UserError, match=problem):
        parse_cache(text, where="c.bin")


def test_a_cache_alone_gives_the_same_network_for_tensorrt_and_a_good_one_for_the_processor(floats, tmp_path):
    first = quantize_int8(floats, pictures(8), tmp_path / "net.onnx")
    cache = first.cache.rename(tmp_path / "cal.bin")
    written = cache.read_bytes()
    again = quantize_with_cache(floats, cache, tmp_path / "again.onnx")
    assert again.path.read_bytes() == first.path.read_bytes()
    assert (again.cache, again.images, cache.read_bytes()) == (cache, 0, written)
    images = np.concatenate(list(pictures(4, seed=9)))
    for a, b in zip(OnnxRunner(floats)(images), OnnxRunner(again.cpu_path)(images), strict=True):
        assert (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) > 0.99
    zeros = {t.name: t.raw_data for t in onnx.load(again.cpu_path).graph.initializer if t.name.endswith("zero_point")}
    assert all(zeros[name] == b"\x00" for name in zeros if name.endswith("relu/zero_point"))


def test_the_cache_of_another_network_is_refused(floats, tmp_path):
    cache = tmp_path / "cal.bin"
    cache.write_text(cache_text({"input_1": 1.0}))
    with pytest.raises(UserError, match=r"cal.bin: the cache does not tell of \S+ and \d+ others; remove the file"):
        quantize_with_cache(floats, cache, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == [cache]


def test_a_folder_gives_the_same_photos_at_every_run_each_once_and_fitted(photos):
    found = from_folder(photos, FITTING, batches=3, batch_size=4)
    batches = list(found)
    assert [batch.shape for batch in batches] == [(4, *SIZE, 3)] * 3
    again = from_folder(photos, FITTING, batches=3, batch_size=4)
    assert again.digest == found.digest
    np.testing.assert_array_equal(np.concatenate(batches), np.concatenate(list(again)))
    everything = [
        FITTING(decode_photo(path.read_bytes(), where="x", reduce=FITTING.reduce))
        for path in photos.glob("*.*")
        if path.suffix.lower() in (".jpg", ".png")
    ]
    chosen = [sum(np.array_equal(picture, one[0]) for picture in np.concatenate(batches)) for one in everything]
    assert sorted(chosen) == [0] * 8 + [1] * 12


def test_a_network_with_weights_in_16_bits_is_quantized_as_what_they_widen_to(photos, tmp_path):
    halved = weights_path("pretrained:people").with_suffix(".onnx")
    wide = onnx.load(halved)
    assert any(node.op_type == "Cast" for node in wide.graph.node)
    widen_weights(wide.graph)
    onnx.save(wide, tmp_path / "wide.onnx")
    fitting = Fitting((64, 64), card_of_model(wide, halved))
    done = [
        quantize_int8(each, from_folder(photos, fitting, batches=2), tmp_path / f"{name}.onnx")
        for name, each in (("a", halved), ("b", tmp_path / "wide.onnx"))
    ]
    assert done[0].cpu_path.read_bytes() == done[1].cpu_path.read_bytes()


def test_networks_that_compute_in_fewer_bits_are_refused(floats, photos, tmp_path):
    halved = export_half(floats, tmp_path / "half.onnx").path
    eight = weights_path("pretrained:people").with_name("people_int8.onnx")
    for network in (halved, eight):
        with pytest.raises(UserError, match=r"no weights in 32 bits.*; give what bpnet export writes with --data_type"):
            quantize_int8(network, from_folder(photos, FITTING, batches=1), tmp_path / "no.onnx")


def test_other_photos_sizes_and_numbers_have_another_digest(photos, tmp_path):
    whole = from_folder(photos, FITTING)
    assert len(whole) == 20
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    cv2.imwrite(str(folder / "00.jpg"), np.zeros((90, 90, 3), np.uint8))
    others = [from_folder(folder, FITTING), from_folder(photos, Fitting((64, 64), CARD))]
    others += [from_folder(photos, FITTING, batches=20), from_folder(photos, FITTING, batch_size=2)]
    assert len({whole.digest, *(other.digest for other in others)}) == 5


def test_a_photo_that_cannot_be_read_is_told_and_left_out(photos, tmp_path, caplog):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "07.PNG").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        batches = list(from_folder(folder, FITTING, batch_size=10))
    assert [len(batch) for batch in batches] == [9, 10]
    assert f"{folder}/07.PNG: is no readable image; it is left out" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"batches": 6, "batch_size": 4}, "20 photos; 6 batches of 4 need 24; use --batches 5"),
        ({"batches": 1, "batch_size": 30}, "20 photos; 1 batches of 30 need 30; name another folder"),
    ],
)
def test_too_few_photos_are_told(photos, wanted, problem):
    with pytest.raises(UserError, match=problem):
        from_folder(photos, FITTING, **wanted)


def test_record_shards_give_the_pictures_of_their_photos(tmp_path):
    synthesize(tmp_path / "set", train=6, val=2)
    spec = make_dataset_spec(tmp_path / "set", default("dataset"))
    convert_dataset(spec, tmp_path / "records" / "train")
    known = np.concatenate(list(from_folder(tmp_path / "set" / "images", FITTING)))
    found = list(from_folder(tmp_path / "records", FITTING, batches=5))
    assert len(found) == 5
    for picture in found:
        assert sum(np.array_equal(picture[0], one) for one in known) == 1


def test_a_tensorfile_has_tao_s_layout_and_reads_back(photos, tmp_path):
    batches = list(from_folder(photos, FITTING, batch_size=8, batches=2))
    path = tmp_path / "below" / "cal.tensorfile"
    assert write_tensorfile(path, batches) == 2
    with h5py.File(path) as file:
        assert int(file.attrs["count"]) == 2
        assert tuple(file.attrs["shape"]) == (8, *SIZE, 3)
        assert sorted(file) == ["_tensorfile_array_key__0", "_tensorfile_array_key__1"]
        stored = file["_tensorfile_array_key__1/_tensorfile_array_key_"]
        assert stored.compression == "gzip"
        np.testing.assert_array_equal(stored[()], batches[1])
    for found, batch in zip(from_tensorfile(path, SIZE, batches=2, batch_size=5), batches, strict=True):
        np.testing.assert_array_equal(found, batch[:5])
    assert len(from_tensorfile(path, SIZE)) == 2


def test_a_tensorfile_of_tao_with_the_channels_first_is_turned(tmp_path):
    batch = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 64, 96))
    with h5py.File(tmp_path / "tao", "w") as file:
        file.attrs["count"], file.attrs["shape"] = 1, batch.shape
        file.create_group("_tensorfile_array_key__0").create_dataset("_tensorfile_array_key_", data=batch)
    (found,) = from_tensorfile(tmp_path / "tao", SIZE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, batch.transpose(0, 2, 3, 1).astype(np.float32))


def test_tensorfiles_that_cannot_be_used_are_told(tmp_path):
    path = tmp_path / "cal.tensorfile"
    with pytest.raises(UserError, match="there is no such file"):
        Tensorfile(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(UserError, match="this is no tensorfile"):
        Tensorfile(path)
    with pytest.raises(UserError, match=r"batch 1 has the shape \(1, 8, 8, 3\), those before it \(1, 64, 96, 3\)"):
        write_tensorfile(tmp_path / "mixed", [np.zeros((1, *SIZE, 3)), np.zeros((1, 8, 8, 3))])
    assert not (tmp_path / "mixed").exists()
    write_tensorfile(path, pictures(3))
    with pytest.raises(UserError, match="3 batches; 4 are wanted; use --batches 3"):
        from_tensorfile(path, SIZE, batches=4)
    with pytest.raises(UserError, match="its batches have 1 pictures; 2 are wanted; use --batch_size 1"):
        from_tensorfile(path, SIZE, batch_size=2)
    with pytest.raises(UserError, match="its pictures are 64x96x3, the input is 288x384x3; see -d"):
        from_tensorfile(path, (288, 384))
    with h5py.File(path, "a") as file:
        del file["_tensorfile_array_key__1"]
    with pytest.raises(UserError, match="the file tells of 3 batches; number 1 is missing"):
        Tensorfile(path)


@pytest.mark.parametrize(
    ("count", "make", "problem"),
    [
        (10**11, None, "the file tells of 100000000000 batches and holds 0"),
        (-5, None, "the file tells of -5 batches and holds 0"),
        (float("inf"), None, "this is no tensorfile: cannot convert float infinity to integer"),
        (1, lambda group, name: group.create_group(name), "batch 0: this is no array of numbers"),
        (1, lambda group, name: group.create_dataset(name, data="text"), "batch 0: this is no array of numbers"),
        (
            1,
            lambda group, name: group.create_dataset(name, (1, 65536, 32768, 3), "f4", chunks=(1, 64, 64, 3)),
            r"batch 0: the shape \(1, 65536, 32768, 3\) is more than a batch of pictures has",
        ),
        (1, lambda group, name: group.__setitem__(name, h5py.ExternalLink("other", "x")), "a link to another place"),
    ],
)
def test_what_a_tensorfile_of_a_stranger_claims_is_not_believed(tmp_path, count, make, problem):
    path = tmp_path / "cal.tensorfile"
    with h5py.File(path, "w") as file:
        file.attrs["count"], file.attrs["shape"] = count, (1, 64, 96, 3)
        if make:
            make(file.create_group("_tensorfile_array_key__0"), "_tensorfile_array_key_")
    with pytest.raises(UserError, match=problem):
        Tensorfile(path)[0]


class LostError(Exception):
    """What stands for a machine that is taken away."""


def stopped_after(images, count):
    """The same images, the machine lost when number ``count`` is asked for."""

    def lost():
        raise LostError

    reads = [*images.batches[:count], [lost], *images.batches[count + 1 :]]
    return type(images)(reads, images.digest)


def counted(images):
    """The same images, and a list that the number of each one is added to as it is read."""
    asked = []

    def noted(number, read):
        return lambda: asked.append(number) or read()

    reads = [[noted(number, read) for read in batch] for number, batch in enumerate(images.batches)]
    return type(images)(reads, images.digest), asked


def test_a_calibration_that_was_stopped_goes_on_and_ends_with_the_same_bytes(floats, photos, tmp_path, caplog):
    images = from_folder(photos, FITTING)
    whole, parts = tmp_path / "whole" / "net.onnx", tmp_path / "parts" / "net.onnx"
    quantize_int8(floats, images, whole)
    for stop in (EVERY + 2, 2 * EVERY + 1):
        with pytest.raises(LostError):
            quantize_int8(floats, stopped_after(images, stop), parts)
        assert [path.name for path in parts.parent.iterdir()] == [".net.int8.part.npz"]
    rest, asked = counted(images)
    with caplog.at_level(logging.INFO):
        done = quantize_int8(floats, rest, parts)
    assert asked == list(range(2 * EVERY, 20))
    assert "calibration goes on after 16 batches" in caplog.text
    assert done.images == 20
    assert sorted(contents(parts.parent)) == sorted(FORMS)
    assert contents(parts.parent) == contents(whole.parent)


@pytest.mark.parametrize("change", ["pictures", "network", "damage"])
def test_counts_of_other_pictures_or_networks_and_damaged_ones_are_not_gone_on_with(
    floats, photos, tmp_path, change, caplog
):
    images = from_folder(photos, FITTING)
    with pytest.raises(LostError):
        quantize_int8(floats, stopped_after(images, EVERY), tmp_path / "net.onnx")
    if change == "pictures":
        images = from_folder(photos, FITTING, batches=12)
    elif change == "network":
        floats = export_onnx_of(pose_net(seed=5), tmp_path.parent / "other")
    else:
        (tmp_path / ".net.int8.part.npz").write_bytes(b"PK\x03\x04 half a file")
    rest, asked = counted(images)
    quantize_int8(floats, rest, tmp_path / "net.onnx")
    assert asked == list(range(len(images)))
    assert ("cannot be read: calibration begins anew" in caplog.text) == (change == "damage")


def export_onnx_of(network, folder):
    save_model(network, folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx", overwrite=True).path


def command(keras_file, photos, output):
    arguments = ["export", "-m", keras_file, "-o", output, "-d", "64,96,3", "--data_type", "int8", "--batches", "20"]
    arguments += ["--cal_image_dir", photos, "--cal_data_file", output.with_name("cal.tensorfile")]
    return [str(word) for word in arguments]


@pytest.mark.slow
@pytest.mark.heavy
def test_an_export_that_was_killed_while_calibrating_is_gone_on_with_by_the_same_command(keras_file, photos, tmp_path):
    whole, killed = tmp_path / "whole" / "net.onnx", tmp_path / "killed" / "net.onnx"
    done = CliRunner().invoke(main, command(keras_file, photos, whole), catch_exceptions=False)
    assert f"wrote {whole.with_name('cal.tensorfile')}: 20 batches" in done.output
    part = killed.with_name(".net.onnx.staging") / ".net.int8.part.npz"
    bpnet = [sys.executable, "-m", "bodyposenet", *command(keras_file, photos, killed)]
    process = subprocess.Popen(bpnet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not part.exists():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert part.exists()
    again = subprocess.run(bpnet, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert set(contents(killed.parent)) == {"net.onnx", "cal.tensorfile", "status.json", *FORMS}
    for name in ("net.onnx", *FORMS):
        assert (killed.parent / name).read_bytes() == (whole.parent / name).read_bytes()
