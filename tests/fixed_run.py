"""Run the worked example with fixed seeds, and print what it made as digests.

``python tests/fixed_run.py PROGRAMS FOLDER`` takes the folder of the ``bpnet`` to try, and a folder that is not there
yet. Two versions of the code that print the same compute the same, bit for bit: run it before a change that must not
change any number, and after it. What differs by its nature is left aside: times, paths, versions.
"""

import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path

import h5py
import onnx
from worked_example import main as run_example

SEEDED = "random_seed: 42\n"
KINDS = ("*-of-*", "*.keras", "*.onnx", "*.cache", "results.csv", "detections.json")


def fix_seeds(folder: Path) -> None:
    """Make the example's trainings deterministic."""
    for name in ("train.yaml", "retrain.yaml"):
        path = folder / name
        text = path.read_text()
        if SEEDED not in text:
            sys.exit(f"{path}: has no line {SEEDED.strip()!r}")
        path.write_text(text.replace(SEEDED, f"{SEEDED}deterministic: true\n"))


def digest(path: Path) -> str:
    """Compute the SHA-256 of what a file says."""
    read = {".keras": read_weights, ".onnx": read_graph}.get(path.suffix, Path.read_bytes)
    return hashlib.sha256(read(path)).hexdigest()


def read_weights(path: Path) -> bytes:
    """Read a Keras file's weights by their places, without the times in its zip archive."""
    found: list[bytes] = []

    def take(name: str, node: h5py.Dataset | h5py.Group) -> None:
        if isinstance(node, h5py.Dataset):
            found.append(name.encode() + node[()].tobytes())

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(take)
    return b"".join(found)


def read_graph(path: Path) -> bytes:
    """Read an ONNX file without the version of what wrote it."""
    model = onnx.load(path)
    model.producer_version = ""
    return model.SerializeToString(deterministic=True)


def main(programs: Path, folder: Path) -> int:
    """Run the example and print a line a file; returns the example's exit code."""
    os.environ["BODYPOSENET_RUNNER"] = "exact"  # which is faster may be another the next time
    code = run_example(programs, folder, fix_seeds)
    paths = sorted({path for kind in KINDS for path in folder.rglob(kind) if path.is_file()})
    for path in paths:
        print(digest(path), path.relative_to(folder).as_posix())
    return code


if __name__ == "__main__":
    sys.exit(main(*(Path(text).resolve() for text in sys.argv[1:])))
