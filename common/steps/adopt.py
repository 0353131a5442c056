"""Adopt step: an open network as a model file of this project, and what is recorded of it."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_bytes, digest_file
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.storage.model_key import key_in_use, taking_plain
from bodyposenet.common.storage.tao_encryption import decrypt_tao, is_tao_encrypted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bodyposenet.common.adopt.adopt import Adopted
    from bodyposenet.common.skeleton.skeleton import Skeleton
    from bodyposenet.common.storage.location import Location
    from bodyposenet.common.storage.together import Together
    from bodyposenet.common.tracking import TrackedRun


def run_adopt(
    run: "TrackedRun", source: Path, files: "Together", *, skeleton: "Skeleton", asked: "Mapping[str, Any]",
    photos: "Path | Location | None" = None, most: int = 12, licence: str = "", tao_key: str | None = None,
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Make a model file of an open network, check it on photos, and log what came of it to the run.

    Args:
        run: The tracked run.
        source: ONNX, OpenVINO's ``.xml``, TAO's ``.hdf5``, or a ``.tlt`` or ``.etlt`` that NVIDIA's tools encrypted.
        files: The Keras model to write, as its output.
        skeleton: Joints and limbs in the order of its channels.
        asked: What is said of its form: ``family``, ``colours``, ``scale``, ``offset`` of
            :func:`bodyposenet.common.adopt.adopt.adopt`.
        photos: Folder or archive of photos with people; without them nothing is checked, which is told.
        most: Photos to look at, at most.
        licence: Under which it was published.
        tao_key: Of a ``.tlt`` or ``.etlt``; by default the key in use.

    Returns:
        What was done, line by line, and the numbers in these lines.

    Raises:
        UserError: See there and :func:`bodyposenet.common.adopt.field_check.require_evidence`; nothing is written then.
    """
    from dataclasses import replace

    from bodyposenet.common.adopt.adopt import adopt
    from bodyposenet.common.model.files.model_file import save_model
    from bodyposenet.common.model.network.flops import flops

    if not source.is_file():
        raise UserError("no such file", where=str(source), fix="check the name")
    with _open_source(source, tao_key) as opened, taking_plain():
        done = adopt(opened, skeleton=skeleton, **asked)
    told, checked = _check(run, done, photos, most, source)
    weights = source.with_suffix(".bin") if source.suffix == ".xml" else source
    origin = f"{source.name}, SHA-256 of {weights.name} {digest_file(weights)}"
    card = replace(done.card, made_from=f"{origin}; {licence}" if licence else origin)
    save_model(done.model, files.stage(files.output), card)
    files.publish()
    size = card.input_size
    numbers = {"parameters": float(done.model.count_params()), "gflops": flops(done.model, size) / 1e9}
    said = {"family": done.convention.family, "colours": done.convention.colours, "made_from": card.made_from}
    run.log_params(said, prefix="adopt")
    run.log_metrics(numbers)
    run.log_artifact(files.output, "model")
    return [
        f"wrote {files.output}: {done.convention.family}, {done.model.count_params():,} parameters, "
        f"{numbers['gflops']:.1f} GFLOPs at {size[0]} x {size[1]} pixels, stride {card.stride}",
        told,
    ], {"parameters": done.model.count_params(), "gflops": numbers["gflops"], "input_size": size, "stride": card.stride,
        **said, **checked}  # fmt: skip


@contextmanager
def _open_source(source: Path, key: str | None) -> "Iterator[Path]":
    """The file itself, or for as long as the block runs what NVIDIA's codec makes of an encrypted one."""
    if not is_tao_encrypted(source):
        yield source
        return
    with scratch_folder() as folder:
        yield decrypt_tao(source, Path(folder), key or key_in_use())


def _check(
    run: "TrackedRun", done: "Adopted", photos: "Path | Location | None", most: int, source: Path
) -> tuple[str, dict[str, int]]:
    """Look at photos with people whether the maps are what they are taken for; say so, and the numbers that tell."""
    from bodyposenet.common.adopt.field_check import require_evidence

    if photos is None:
        lacks = "give photos with people to see whether its maps are what they are taken for (--photos FOLDER)"
        return f"not checked: {lacks}", {}
    pictures = _read_some(photos, most)
    seen = require_evidence(done.model, done.card, done.convention, pictures, where=str(source))
    limbs = {"limbs_seen": seen.seen, "limbs_right": seen.right}
    run.log_metrics(limbs)
    told = f"checked on {len(pictures)} photos: the fields of {seen.right} of {seen.seen} limbs point as they should"
    return told, limbs | {"photos": len(pictures)}


def _read_some(photos: "Path | Location", most: int) -> list[np.ndarray]:
    """Read so many photos of a folder, the same ones each time, whatever their names' order."""
    from bodyposenet.common.imaging.photo import decode_image
    from bodyposenet.common.storage.photo_store import PHOTOS, is_photo, open_photos

    store = open_photos(photos)
    names = sorted(filter(is_photo, store.listing()), key=lambda name: digest_bytes(name))
    if not names:
        raise UserError(f"has no photos ({PHOTOS})", where=str(photos), fix="name the folder that your photos are in")
    return [decode_image(store.read(name), where=f"{photos}/{name}") for name in names[:most]]
