"""Start weights: the base network of a registered version, kept at registration and taken by later trainings.

What is registered was pruned; a training goes on from the network before that, which has the shape of its spec.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.model.files.bundled import AUTO, REGISTERED, is_registered, list_shipped, weights_path
from bodyposenet.common.model.files.model_file import read_card
from bodyposenet.common.model.network.architecture import (
    WIDTH,
    describe_spec,
    describe_weights,
    digest_skeleton,
    find_differences,
)
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.network import ModelSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.tracking.attachments import BASE, attach, fetch_attachment, find_attachment
from bodyposenet.common.tracking.mlflow_store import log, tracking_uri
from bodyposenet.common.tracking.registry import CHAMPION, Registered, find_version
from bodyposenet.common.tracking.runs import TrackedRun

MODEL_NAME = "bodyposenet"  # of the registered model, where nothing names another
NETWORK, SKELETON, JOINTS = "base_network", "base_skeleton", "base_skeleton_sha256"  # tags: what the base network is
REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
MEGABYTE = 1e6
SKELETON_SETTINGS = frozenset({"heat_channels", "paf_channels"})
WITHOUT_BASE = "was registered without its base network"


@dataclass(frozen=True)
class StartWeights:
    """What a training starts from.

    Attributes:
        weights: For ``pretrained_weights``; a registered version by its number; nothing is random weights.
        reason: Why, in a line; nothing where the spec says so itself.
        digest: Of a registered network's file.
        model_id: Of the version's logged model, where the server has those.
    """

    weights: str
    reason: str = ""
    digest: str = ""
    model_id: str = ""


def keep_base(run: TrackedRun, base: Path) -> dict[str, str]:
    """Keep a base network with the version that a run registers.

    Args:
        run: The run.
        base: The ``.keras`` file.

    Returns:
        Tags for the version: where it is, how large, and what it is.

    Raises:
        UserError: It is no network, or the store does not take it.
    """
    from bodyposenet.common.model.files.weights_file import read_weights

    skeleton, architecture = read_card(base).skeleton, describe_weights(read_weights(base))
    tags = attach(run, BASE, base)
    if not tags:
        return {}
    log.info("kept the base network with it: %.1f MB", base.stat().st_size / MEGABYTE)
    known = {NETWORK: json.dumps(architecture), SKELETON: skeleton.name, JOINTS: digest_skeleton(skeleton)}
    return tags | known


def choose_start(wish: str, spec: TrainSpec, *, name: str = MODEL_NAME, fallback: str = AUTO) -> StartWeights:
    """Choose the weights of a training.

    Args:
        wish: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``auto``, or what needs no registry.
        spec: Of the training: what its network is.
        name: The registered model whose champion ``auto`` takes.
        fallback: What ``auto`` takes instead; ``auto`` itself takes shipped weights that fit, or else random ones.

    Raises:
        UserError: There is no such version, it has no base network, or that is not the spec's.
        PassingError: The registry does not answer.
    """
    if wish == AUTO:
        return _choose_champion(spec, name, fallback)
    if not is_registered(wish):
        return StartWeights(wish)
    model, version_or_alias = parse_reference(wish)
    found = find_version(model, version_or_alias)
    if found is None:
        raise UserError("there is no such version", where=wish, fix="name a registered version, or take auto")
    if lack := _find_lack(found, spec, mended=_list_mended(spec)):
        raise UserError(f"version {found.version} {lack}", where=wish, fix="set the spec to it, or start from others")
    return _start_from(model, found, f"as {wish} says")


def parse_reference(text: str) -> tuple[str, str]:
    """Read a registered network's name, and its version or alias.

    Raises:
        UserError: It is no such text.
    """
    found = REFERENCE.fullmatch(text)
    if not found:
        fix = "write models:/NAME@champion or models:/NAME/3"
        raise UserError("does not name a registered version", where=text, fix=fix)
    return found["name"], found["alias"] or found["version"]


def fetch_base(start: StartWeights, folder: Path) -> Path:
    """Download the base network of a version.

    Args:
        start: A start from a registered version.
        folder: Gets the file.

    Raises:
        UserError: It is not there any longer, or the store does not answer.
    """
    name, version = parse_reference(start.weights)
    found = find_version(name, version)
    kept = find_attachment(found.tags, BASE) if found else None
    file = fetch_attachment(kept, folder) if kept else None
    if file is None:
        raise UserError("its base network is there no longer", where=start.weights, fix="start from other weights")
    return file


def find_shipped(spec: TrainSpec) -> str:
    """Weights of the package that the spec's network takes whole; nothing where none are."""
    for name in list_shipped():
        path = weights_path(name)
        recipe = path.with_suffix(".yaml")
        if not recipe.is_file():  # a graph of its own, which no spec builds
            continue
        model = ModelSpec.model_validate(read_settings({"from": str(recipe)}, name).data["model"])
        skeleton = read_card(path).skeleton
        if not _compare(spec, describe_spec(model), skeleton.name, digest_skeleton(skeleton)):
            return name
    return ""


def _choose_champion(spec: TrainSpec, name: str, fallback: str) -> StartWeights:
    """The champion's base network if it fits, or else the fallback; either way the reason."""
    found = find_version(name, CHAMPION) if tracking_uri() else None
    if found is None:
        lack = f"there is no champion of {name}" if tracking_uri() else "MLFLOW_TRACKING_URI is not set"
    else:
        lack = _find_lack(found, spec)
        lack = f"version {found.version} of {name}, the champion, {lack}" if lack else ""
    if found is not None and not lack:
        return _start_from(name, found, f"it is the champion of {name}")
    return StartWeights(find_shipped(spec) if fallback == AUTO else fallback, lack)


def _start_from(name: str, found: Registered, reason: str) -> StartWeights:
    kept = find_attachment(found.tags, BASE)
    return StartWeights(f"{REGISTERED}{name}/{found.version}", reason, kept.sha256 if kept else "", found.model_id)


def _list_mended(spec: TrainSpec) -> frozenset[str]:
    """The settings in which a network that is named may differ: the training makes it fit."""
    return SKELETON_SETTINGS | ({WIDTH} if spec.fit_width else frozenset())


def _find_lack(found: Registered, spec: TrainSpec, mended: Collection[str] = ()) -> str:
    """Why a training cannot start from a version; nothing where it can.

    Args:
        found: The version.
        spec: Of the training.
        mended: Settings that do not count.
    """
    if find_attachment(found.tags, BASE) is None:
        return WITHOUT_BASE
    try:
        held = dict(json.loads(found.tags.get(NETWORK, "{}")))
    except MALFORMED:  # somebody has edited the tag
        return WITHOUT_BASE
    differences = _compare(spec, held, found.tags.get(SKELETON, ""), found.tags.get(JOINTS, ""), mended)
    return f"has another network: {'; '.join(differences)}" if differences else ""


def _compare(
    spec: TrainSpec, held: Mapping[str, Any], skeleton: str, digest: str, mended: Collection[str] = ()
) -> list[str]:
    """In what a network differs from the spec's, but for what is mended; its skeleton by name and digest."""
    ours = spec.dataloader.pose_config.skeleton()
    wanted = {setting: value for setting, value in describe_spec(spec.model).items() if setting not in mended}
    differences = find_differences(wanted, held)
    same = SKELETON_SETTINGS.issubset(mended) or digest == digest_skeleton(ours)
    return differences if same else [*differences, f"skeleton {ours.name!r} is wanted, it draws {skeleton!r}"]


def describe_start(start: StartWeights) -> str:
    """Say in a line what a training starts from, and why."""
    what = start.weights or "random weights"
    return f"starts from {what}: {start.reason}" if start.reason else f"starts from {what}"
