"""Release tasks: whether a network is good enough, whether it beats the champion, and its place in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.data.hold_out import ARCHIVE, PHOTOS
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.tasks.challenge import REFERENCE
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import NOBODY, Settings, find_keras, find_onnx
from bodyposenet.common.tracking import TrackedRun, register_model, task_run
from bodyposenet.common.tracking.attachments import BASE, BYTES, HOLD_OUT, attach, find_attachment
from bodyposenet.common.tracking.mlflow_store import tracking_uri
from bodyposenet.common.tracking.registry import (
    Registered,
    find_champion,
    find_registered,
    find_version,
    promote,
    tag_version,
)
from bodyposenet.common.tracking.start_weights import keep_base

NETWORK_TAG = "network_sha256"
MET = "hold_out_ap"  # AP on the photos that were kept with the champion
TAGS = ("inputs", "params", "gflops", "skeleton", "joints", "stride", "input_size", "spec")  # of a version


@dataclass(frozen=True)
class Verdict:
    """Whether something goes on, and why."""

    passed: bool
    reason: str

    def write(self, page: str) -> bool:
        """Leave the reason as Markdown; whether it passed."""
        Path(page).parent.mkdir(parents=True, exist_ok=True)
        said = f"**{'Passed' if self.passed else 'Not passed'}.** {self.reason}\n"
        Path(page).write_text(keep_underscores(said), encoding="utf-8")
        return self.passed


@report_failures
def gate(float_ap: float, int8_ap: float, *, min_ap: float, max_int8_drop: float, page: str) -> bool:
    """Whether a network is good enough to be registered; the reason goes to a page.

    Args:
        float_ap: Of the network in float; -1 where nobody was labelled.
        int8_ap: Of the same in 8 bits, on the same photos.
        min_ap: Least AP that passes.
        max_int8_drop: Greatest loss by quantization that passes.
        page: Gets the reason.
    """
    verdict = judge(float_ap, int8_ap, min_ap=min_ap, max_int8_drop=max_int8_drop)
    with task_run("gate") as run:
        run.log_params({"passed": verdict.passed, "reason": verdict.reason}, prefix="data")
    return verdict.write(page)


def judge(float_ap: float, int8_ap: float, *, min_ap: float, max_int8_drop: float) -> Verdict:
    """The gate's rule; arguments as of :func:`gate`."""
    if float_ap == NOBODY:
        return Verdict(False, "Nobody is labelled in the held-out photos, so there is no AP to go by.")
    if float_ap <= 0:
        return Verdict(False, "AP is 0: nobody was found. Train longer, or look at the pictures in the report.")
    if float_ap < min_ap:
        return Verdict(False, f"AP {float_ap:.3f} is below the least that is wanted, {min_ap:.3f}.")
    drop = float_ap - int8_ap
    if drop > max_int8_drop:
        return Verdict(False, f"8 bits cost {drop:.3f} AP, more than the {max_int8_drop:.3f} that are allowed.")
    return Verdict(True, f"AP {float_ap:.3f} in float and {int8_ap:.3f} in 8 bits.")


def beats_champion(ap: float, champion: str, champion_ap: float) -> Verdict:
    """Whether a network takes the champion's place.

    Args:
        ap: Of the network.
        champion: Version of the champion; nothing where there is none.
        champion_ap: Its AP on the same photos.
    """
    if not champion:
        return Verdict(True, f"It is the first champion, with AP {ap:.3f}.")
    if ap > champion_ap:
        return Verdict(True, f"AP {ap:.3f} beats version {champion}, which has {champion_ap:.3f} on the same photos.")
    return Verdict(False, f"AP {ap:.3f} does not beat version {champion}, which has {champion_ap:.3f} on these photos.")


def recheck_champion(
    verdict: Verdict, aps: Mapping[str, float], version: str, champion: str, name: str, tags: Settings
) -> Verdict:  # fmt: skip
    """A verdict, unless another network has become the champion since the run began.

    Args:
        verdict: What came of the challenge.
        aps: Of the network; see :func:`register`.
        version: Of the network.
        champion: The version that was challenged; nothing where there was none.
        name: The registered model.
        tags: Of the network.
    """
    now = find_champion(name)
    if not verdict.passed or now is None or now.version in (version, champion):
        return verdict
    if now.ap is not None and tags.get("inputs") and now.tags.get("inputs") == tags["inputs"]:
        ap, its = _find_comparable(aps, now, tags)  # made from the same, so measured on the same photos
        return beats_champion(ap, now.version, its)
    reason = f"Version {now.version} has become the champion meanwhile; run again to challenge that."
    return Verdict(False, reason)


def _find_comparable(aps: Mapping[str, float], now: Registered, tags: Settings) -> tuple[float, float]:
    """AP of a network and of a version: on kept photos if both were measured on the same, else on their datasets'."""
    ours, its = find_attachment(tags, HOLD_OUT), find_attachment(now.tags, HOLD_OUT)
    met = now.tags.get(f"metric.{MET}")
    if ours and its and ours.sha256 == its.sha256 and met and MET in aps:
        return aps[MET], float(met)
    return aps["ap"], float(now.ap or 0)


@report_failures
def register(
    onnx: str, int8: str | None, inference_spec: Settings, name: str, aps: Mapping[str, float], page: str, *,
    champion: str = "", champion_ap: float = NOBODY, tags: Settings | None = None,
    kept: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Register an exported network as a candidate, and as the champion if it beats that; returns the version.

    Args:
        onnx: Folder of the exported network.
        int8: Folder of its quantized files, which join the run.
        inference_spec: The inference spec that it was evaluated with.
        name: The registered model.
        aps: What was measured: ``ap``, the network's, and ``hold_out_ap`` on the photos kept with the champion, by
            which it is held against that; ``champion_new_ap``, the champion's where ``ap`` was measured.
        page: Gets what became of it.
        champion: Version of the champion; nothing where there is none.
        champion_ap: Its AP on the same photos.
        tags: What the network is and what it was made from, ``inputs``; others than :data:`TAGS` are left out.
        kept: What goes with the version: folder of the ``base`` network, and ``hold_out``, what the challenge kept.

    Raises:
        UserError: The store does not take it; tried again, the task finds what is there already.
    """
    source = find_onnx(onnx)
    told = {key: value for key, value in (tags or {}).items() if key in TAGS} | {NETWORK_TAG: digest_file(source)}
    measured = {key: value for key, value in aps.items() if value != NOBODY or key == "ap"}
    with task_run("register") as run:  # without a buffer: what only lies in this pod is not registered
        if int8 is not None:
            run.log_artifact(Path(int8))
        version = find_registered(name, str(told.get("inputs", "")), told[NETWORK_TAG])
        if version:
            told |= _find_tags(name, version)
        else:
            told |= _keep(run, kept or {}, name, champion)
            version = register_model(
                source, metrics={**measured, **({"champion_ap": champion_ap} if champion else {})}, name=name,
                settings=restore_ints(inference_spec), tags=told,
            )  # fmt: skip
        verdict = beats_champion(measured.get(MET, aps["ap"]), champion, champion_ap)
        verdict = recheck_champion(verdict, measured, version, champion, name, told)
        if verdict.passed and version:
            promote(name, version, over=champion)
        verdict = Verdict(verdict.passed, verdict.reason + _tell_new(measured))
        run.log_params({"reason": verdict.reason}, prefix="data")
    Path(page).parent.mkdir(parents=True, exist_ok=True)
    Path(page).write_text(keep_underscores(_describe(name, version, verdict, told)), encoding="utf-8")
    return version


def _keep(run: TrackedRun, kept: Mapping[str, str], name: str, champion: str) -> dict[str, str]:
    """Put what goes with a version into the store; tags that say where it is.

    Photos that were kept for the first time go with the champion, too: later networks meet it on these.
    """
    if not tracking_uri():
        return {}
    tags = keep_base(run, find_keras(kept["base"])) if kept.get("base") else {}
    folder = Path(kept["hold_out"]) if kept.get("hold_out") else None
    if folder is None:
        return tags
    if (folder / PHOTOS).is_file():
        made = attach(run, HOLD_OUT, folder / PHOTOS, folder / ARCHIVE)
        if champion:
            tag_version(name, champion, made)
        return tags | made
    reference = (folder / REFERENCE).read_text(encoding="utf-8").strip()
    return tags | ({HOLD_OUT: reference} if reference else {})


def _find_tags(name: str, version: str) -> dict[str, str]:
    found = find_version(name, version)
    return {key: value for key, value in found.tags.items() if key.startswith((BASE, HOLD_OUT))} if found else {}


def _tell_new(aps: Mapping[str, float]) -> str:
    """AP of both on the dataset's own photos, where they met on others."""
    if "champion_new_ap" not in aps:
        return ""
    return f" On the dataset's own held-out photos it has {aps['ap']:.3f}, the champion {aps['champion_new_ap']:.3f}."


def _describe(name: str, version: str, verdict: Verdict, tags: Settings) -> str:
    if not version:
        return "Nothing was registered: no tracking store is set.\n"
    place = f"models:/{name}@{'champion' if verdict.passed else 'candidate'}"
    sizes = {
        "the base network": tags.get(BYTES.format(BASE)),
        "the held-out photos": tags.get(BYTES.format(HOLD_OUT)),
    }
    kept = " and ".join(f"{what} ({float(size) / 1e6:.1f} MB)" for what, size in sizes.items() if size)
    said = f"**Version {version} of {name}**, `{place}`. {verdict.reason}"
    return f"{said} Kept with it: {kept}.\n" if kept else f"{said}\n"
