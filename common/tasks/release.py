"""Release tasks: whether a network is good enough, whether it beats the champion, and its place in the registry."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.data.photo_set import spec_in
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import NOBODY, Settings, find_dataset, find_onnx, read_spec
from bodyposenet.common.tracking import register_model, task_run
from bodyposenet.common.tracking.registry import fetch, find_champion, find_registered, promote

NETWORK_TAG = "network_sha256"
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


@report_failures
def challenge(champion: str, name: str, dataset: str, inference_spec: Settings) -> float:
    """AP of the registered champion on a dataset's held-out photos; -1 where there is no champion.

    Args:
        champion: Its version; nothing where there is none.
        name: The registered model.
        dataset: Whose held-out photos are looked at.
        inference_spec: The inference spec that the challenger was evaluated with.
    """
    from bodyposenet.common.evaluation.evaluate import evaluate

    if not champion:
        return NOBODY
    spec = read_spec(inference_spec, InferenceSpec, "inference_spec")
    with tempfile.TemporaryDirectory() as folder, task_run("challenge", buffer=Path(folder)) as run:
        network = fetch(name, champion, Path(folder) / "champion")
        done = evaluate(network, spec, spec_in(find_dataset(dataset)), Path(folder) / "found")
        run.log_params({"champion": champion}, prefix="data")
        run.log_metrics({"champion_ap": done.ap})
    return done.ap


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


def recheck_champion(verdict: Verdict, ap: float, version: str, champion: str, name: str, tags: Settings) -> Verdict:
    """A verdict, unless another network has become the champion since the run began.

    Args:
        verdict: What came of the challenge.
        ap: Of the network.
        version: Of the network.
        champion: The version that was challenged; nothing where there was none.
        name: The registered model.
        tags: Of the network.
    """
    now = find_champion(name)
    if not verdict.passed or now is None or now.version in (version, champion):
        return verdict
    if now.ap is not None and tags.get("inputs") and now.tags.get("inputs") == tags["inputs"]:
        return beats_champion(ap, now.version, now.ap)  # made from the same, so measured on the same photos
    reason = f"Version {now.version} has become the champion meanwhile; run again to challenge that."
    return Verdict(False, reason)


@report_failures
def register(
    onnx: str, int8: str | None, inference_spec: Settings, name: str, aps: Settings, page: str, *,
    champion: str = "", champion_ap: float = NOBODY, tags: Settings | None = None,
) -> str:  # fmt: skip
    """Register an exported network as a candidate, and as the champion if it beats that; returns the version.

    Args:
        onnx: Folder of the exported network.
        int8: Folder of its quantized files, which join the run.
        inference_spec: The inference spec that it was evaluated with.
        name: The registered model.
        aps: What was measured; ``ap`` is the network's.
        page: Gets what became of it.
        champion: Version of the champion; nothing where there is none.
        champion_ap: Its AP on the same photos.
        tags: What the network is and what it was made from, ``inputs``; others than :data:`TAGS` are left out.

    Raises:
        UserError: The store does not take it; tried again, the task finds what is there already.
    """
    source = find_onnx(onnx)
    told = {key: value for key, value in (tags or {}).items() if key in TAGS} | {NETWORK_TAG: digest_file(source)}
    with task_run("register") as run:  # without a buffer: what only lies in this pod is not registered
        if int8 is not None:
            run.log_artifact(Path(int8))
        version = find_registered(name, str(told.get("inputs", "")), told[NETWORK_TAG])
        if not version:
            metrics = {**aps, **({"champion_ap": champion_ap} if champion else {})}
            version = register_model(
                source, metrics=metrics, name=name, settings=restore_ints(inference_spec), tags=told
            )
        verdict = recheck_champion(
            beats_champion(aps["ap"], champion, champion_ap), aps["ap"], version, champion, name, told
        )
        if verdict.passed and version:
            promote(name, version, over=champion)
        run.log_params({"reason": verdict.reason}, prefix="data")
    Path(page).parent.mkdir(parents=True, exist_ok=True)
    Path(page).write_text(keep_underscores(_describe(name, version, verdict)), encoding="utf-8")
    return version


def _describe(name: str, version: str, verdict: Verdict) -> str:
    if not version:
        return "Nothing was registered: no tracking store is set.\n"
    place = f"models:/{name}@{'champion' if verdict.passed else 'candidate'}"
    return f"**Version {version} of {name}**, `{place}`. {verdict.reason}\n"
