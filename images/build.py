"""Build: makes the images and tells their names, sizes and digests.

    python images/build.py [train] [deploy] [--gpu] [--registry registry.example.com/vision/] [--push] [-- FLAG ...]

What follows ``--`` goes to ``docker build``. The tag is the package's version. What was built stands in
``build/images.json`` afterwards, with each image's digest: that of the registry where it was pushed, else its id.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.kubeflow.container_images import end_registry

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "build" / "images.json"
NAMES = ("deploy", "train")
# The builder that needs no plugin; one that has been told otherwise keeps that.
ENVIRONMENT = {"DOCKER_BUILDKIT": "0", **os.environ}


def name_of(image: str, registry: str, *, gpu: bool) -> str:
    """An image's name, as ``container_images.py`` makes it, with ``-gpu`` behind the tag of that for GPUs."""
    return f"{end_registry(registry)}bodyposenet-{image}:{__version__}{'-gpu' if gpu else ''}"


def build(image: str, name: str, *, gpu: bool = False, options: tuple[str, ...] = ()) -> None:
    """Build an image under a name.

    Raises:
        subprocess.CalledProcessError: Docker says why.
    """
    arguments = {"IMAGE": image, "VERSION": __version__, "REVISION": revision()}
    if gpu:
        arguments["REQUIREMENTS"] = "requirements.gpu.txt"
    given = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    command = ["docker", "build", "--file", str(ROOT / "images" / "Dockerfile"), "--tag", name, *given, *options]
    print(shlex.join(command), flush=True)
    subprocess.run([*command, str(ROOT)], check=True, env=ENVIRONMENT)


def revision() -> str:
    """The commit that is built, with ``-dirty`` behind it if there is more."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip() or "unknown"


def described(name: str) -> dict[str, Any]:
    """An image's size in bytes and its digest."""
    told = subprocess.run(["docker", "inspect", name], capture_output=True, text=True, check=True)
    (image,) = json.loads(told.stdout)
    pushed = dict(each.split("@") for each in image["RepoDigests"])
    return {"digest": pushed.get(name.rpartition(":")[0], image["Id"]), "bytes": image["Size"]}


def record(name: str) -> dict[str, Any]:
    """Note an image in ``build/images.json``, beside those that are there."""
    known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    known[name] = described(name)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return dict(known[name])


def asked_for(words: list[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """What a command line asks for, and what it has for ``docker build``."""
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        description="Build the images of the components.", epilog="What follows -- goes to docker build."
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="train or deploy; both by default")
    parser.add_argument("--gpu", action="store_true", help="train with CUDA, for GPUs; deploy is the same for all")
    parser.add_argument("--registry", default=os.environ.get("BODYPOSENET_REGISTRY", ""), help="put before the names")
    parser.add_argument("--push", action="store_true", help="to that registry, too")
    given = parser.parse_args(words[:cut])
    unknown = [image for image in given.images if image not in NAMES]
    if unknown:
        parser.error(f"no image {unknown[0]!r}; there are {' and '.join(NAMES)}; flags of docker build follow --")
    return given, tuple(words[cut + 1 :])


def main(words: list[str]) -> None:
    """Command line of this file."""
    given, options = asked_for(words)
    for image in given.images or NAMES:
        gpu = given.gpu and image == "train"
        name = name_of(image, given.registry, gpu=gpu)
        build(image, name, gpu=gpu, options=options)
        if given.push:
            subprocess.run(["docker", "push", name], check=True)
        done = record(name)
        print(f"{name}  {done['bytes'] / 1e9:.2f} GB  {done['digest']}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        sys.exit(f"error: {error}; is Docker there, and does its daemon run?")
