"""TAO's own files: open ones get a card, encrypted ones are opened by NVIDIA's codec, where that is installed."""

import importlib
import itertools
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from support.tao_files import tao_network, write_hdf5

from bodyposenet.common.adopt.adopt import adopt
from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.files.tao_hdf5 import read_network
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

KEY = "nvidia_tlt"
PICTURE = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 64, 64, 3)).astype(np.float32)

# A stand-in with the signature by which TAO's code calls the real one, and a toy of a cipher: the key comes round and
# round behind a nonce of its own length.
CODEC = """
def decrypt_stream(input_stream, output_stream, key, encryption=True, rewind=True):
    if not isinstance(key, bytes):
        raise TypeError("key must be bytes")
    nonce = input_stream.read(16)
    if len(nonce) < 16:
        raise ValueError("no nonce")
    while block := input_stream.read(1024):
        output_stream.write(bytes(a ^ key[n % len(key)] ^ nonce[n % 16] for n, a in enumerate(block)))
"""


def seal(content, key=KEY):
    nonce = bytes(range(100, 116))
    blocks = (content[start : start + 1024] for start in range(0, len(content), 1024))
    code = key.encode()
    return nonce + b"".join(
        bytes(a ^ b ^ c for a, b, c in zip(block, itertools.cycle(code), itertools.cycle(nonce), strict=False))
        for block in blocks
    )


@pytest.fixture
def codec(tmp_path, monkeypatch):
    """NVIDIA's codec, by its stand-in, where Python finds it."""
    package = tmp_path / "site/eff_tao_encryption"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tao_codec.py").write_text(CODEC)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.startswith("eff_tao_encryption")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A network as TAO 5 writes it."""
    return write_hdf5(tao_network(), tmp_path_factory.mktemp("tao") / "model.hdf5")


@pytest.fixture
def sealed(opened, tmp_path):
    path = tmp_path / "model.tlt"
    path.write_bytes(seal(opened.read_bytes()))
    return path


def run(*command):
    return CliRunner().invoke(main, ["adopt", *map(str, command)])


def test_an_open_file_of_tao_gets_a_card(opened):
    adopted = adopt(opened)
    assert adopted.card.skeleton == BODYPOSENET_18
    assert (adopted.card.paf_shift, adopted.card.image_scale) == (3.5, (256, 256, 256))
    for ours, theirs in zip(adopted.model(PICTURE), read_network(opened)(PICTURE), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_does_not_fit_a_file_of_tao_is_told(opened, tmp_path):
    with pytest.raises(UserError, match="leave --colours and --scale out"):
        adopt(opened, "tao-bodyposenet", colours="bgr", scale=1.0)
    with pytest.raises(UserError, match=r"'coco_17_joints' has 17 joints and 19 limbs; .*--pose_config"):
        adopt(opened, skeleton=COCO_17)
    with pytest.raises(UserError, match="no such file"):
        adopt(tmp_path / "none.hdf5")


@pytest.mark.parametrize("flags", [["--tao_key", KEY], ["--tao_key", KEY, "-k", "mine"]])
def test_an_encrypted_file_is_opened_by_the_codec(codec, sealed, opened, tmp_path, flags):
    from bodyposenet.common.storage.model_key import using_key

    result = run(sealed, "-o", tmp_path / "tao.keras", *flags)
    assert result.exit_code == 0, result.output
    with using_key("mine" if "-k" in flags else None):
        model, card = load_model(tmp_path / "tao.keras")
    assert card.made_from.startswith("model.tlt, SHA-256 of model.tlt ")
    for ours, theirs in zip(model(PICTURE), read_network(opened)(PICTURE), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_key_of_model_files_serves_where_no_other_is_given(codec, sealed, tmp_path):
    result = run(sealed, "-o", tmp_path / "tao.keras", "-k", KEY)
    assert result.exit_code == 0, result.output


def test_an_exported_file_is_opened_behind_the_name_of_its_input(codec, opened, tmp_path):
    from bodyposenet.common.deploy.export.interface import Interface, change_interface
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.model.files.model_file import save_model

    adopted = adopt(opened)
    save_model(adopted.model, tmp_path / "net.keras", adopted.card)
    export_onnx(tmp_path / "net.keras", tmp_path / "net.onnx")
    change_interface(tmp_path / "net.onnx", Interface(sdk_ratio=4))
    path = tmp_path / "net.etlt"
    path.write_bytes(bytes(4) + seal((tmp_path / "net.onnx").read_bytes()))
    result = run(path, "-o", tmp_path / "tao.keras", "--tao_key", KEY)
    assert result.exit_code == 0, result.output
    model, _ = load_model(tmp_path / "tao.keras")
    wanted = adopted.model(PICTURE)[1]
    assert np.abs(model(PICTURE)[0] - wanted).max() <= 1e-4 * np.ptp(wanted)
    path.write_bytes((7).to_bytes(4, "little") + b"input_1" + seal(b"a UFF"))
    result = run(path, "-o", tmp_path / "uff.keras", "--tao_key", KEY)
    assert (result.exit_code, "in UFF, with the input 'input_1'" in result.output) == (2, True)


@pytest.mark.parametrize("damage", ["another key", "cut"])
def test_a_file_that_does_not_open_is_told(codec, sealed, tmp_path, damage):
    if damage == "cut":
        sealed.write_bytes(sealed.read_bytes()[:10])
    result = run(sealed, "-o", tmp_path / "tao.keras", "--tao_key", KEY if damage == "cut" else "guess")
    assert result.exit_code == 2
    assert "does not open with this key, or is damaged" in result.output
    assert not (tmp_path / "tao.keras").exists()


def test_an_encrypted_file_without_a_key_asks_for_it(codec, sealed, tmp_path):
    result = run(sealed, "-o", tmp_path / "tao.keras")
    assert (result.exit_code, "give its key: --tao_key KEY" in result.output) == (2, True)


def test_without_the_codec_the_command_of_nvidia_s_container_is_told(sealed, tmp_path):
    result = run(sealed, "-o", tmp_path / "tao.keras", "--tao_key", KEY)
    assert result.exit_code == 2
    assert (
        f"docker run --rm --gpus all -v {tmp_path}:/models nvcr.io/nvidia/tao/tao-toolkit:5.0.0-tf1.15.5 bpnet prune "
        "-m /models/model.tlt -o /models/open/model.hdf5 -k KEY -pth 0 -r /models/open"
    ) in " ".join(result.output.split())
    assert KEY not in result.output
