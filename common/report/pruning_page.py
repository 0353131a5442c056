"""Pruning page: what was cut out of a network."""

from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.pages.numbers import count, is_known, percent, plain, share
from bodyposenet.common.pages.page import render
from bodyposenet.common.report.channels import channels_chart
from bodyposenet.common.report.run_report import fact_text
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.storage.files import write_text

if TYPE_CHECKING:
    from bodyposenet.common.prune.prune import PruneOutcome


def write_pruning_page(path: Path, done: "PruneOutcome", spec: PruneSpec) -> Path:
    """Write what pruning left of a network: one file that a browser shows anywhere.

    Args:
        path: The page to write.
        done: What pruning came to.
        spec: What it was asked for.

    Returns:
        The path.
    """
    gflops = share(done.gflops_after, done.gflops_before)
    target = spec.target_params is not None or spec.target_flops is not None
    kept, of = (sum(counts) for counts in zip(*done.layers.values(), strict=True)) if done.layers else (0, 0)
    page = render(
        "bodyposenet.common.report",
        "pruning.html",
        title="What pruning left",
        verdict=_verdict(done, gflops),
        tiles=[
            (percent(done.kept), "of the parameters", f"{count(done.params_after)} of {count(done.params_before)}"),
            (percent(gflops) if is_known(gflops) else "–", "of the GFLOPs",  # noqa: RUF001
             f"{plain(done.gflops_after)} of {plain(done.gflops_before)} at {done.size[0]}x{done.size[1]}"),
            (percent(kept / of) if of else "–", "of the filters", f"{kept:,} of {of:,}"),  # noqa: RUF001
            (f"{done.threshold:.4g}", "threshold", "found" if target else "given"),
        ],
        channels=channels_chart(done.layers),
        facts=[(name.replace("_", " "), fact_text(value)) for name, value in spec.model_dump(mode="json").items()],
    )  # fmt: skip
    write_text(path, page)
    return path


def _verdict(done: "PruneOutcome", gflops: float) -> str:
    work = f" and {percent(gflops)} of the floating-point operations" if is_known(gflops) else ""
    sentence = f"{percent(done.kept)} of the parameters{work} are left."
    return f"{sentence} {done.note}".strip()
