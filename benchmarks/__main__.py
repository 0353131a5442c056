"""``python -m benchmarks [GROUP ...]``: measure, and write results.json and the table of README.md."""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.processor import asked, describe_processor, measured_on

HERE = Path(__file__).parent
GROUPS = (
    "codec", "decoders", "people", "taught", "data", "reconvert", "training", "pruning", "export", "calibration",
    "int8", "runners", "start", "imports", "throughput", "video", "growth", "nightly",
)  # fmt: skip
MARKS = "<!-- table -->", "<!-- end -->"


def main(names: list[str]) -> int:
    """Run the groups named, or all; fail if a bound is missed."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        print(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    if not Path(os.environ.get("BODYPOSENET_TEST_DATA", "")).joinpath("coco_annotations").is_dir():
        print("set BODYPOSENET_TEST_DATA to the folder of the test data (COCO photos and annotations)", file=sys.stderr)
        return 2
    file = HERE / "results.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name in names or GROUPS:
        group = importlib.import_module(f"benchmarks.{name}")
        results = {key: value for key, value in results.items() if key not in group.ROWS} | group.measure()
        results[f"processor_{name}"] = describe_processor()
    file.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n", encoding="utf-8")
    groups = {name: importlib.import_module(f"benchmarks.{name}") for name in GROUPS}
    rows = {key: row for name, group in groups.items() for key, row in asked(name, group, results).items()}
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    readme.write_text(text[:begin] + "\n" + table(results, rows) + measured_on(results) + text[end:], encoding="utf-8")
    missed = [key for key, (_, bound) in rows.items() if key in results and not holds(results[key], bound)]
    for key in missed:
        print(f"{key}: {results[key]:.3g}, asked is {rows[key][1]}", file=sys.stderr)
    return 1 if missed else 0


def table(results: dict[str, Any], rows: dict[str, tuple[str, str]]) -> str:
    """The results as Markdown."""
    lines = ["| key | what | asked | measured |", "|---|---|---|---|"]
    lines += [
        f"| {key} | {what} | {bound} | {results[key]:.3g} |" for key, (what, bound) in rows.items() if key in results
    ]
    return "\n".join(lines) + "\n"


def holds(value: float, bound: str) -> bool:
    """Whether a bound such as ``≤ 0.5`` holds; an empty one does."""
    sign, _, limit = bound.partition(" ")
    return not bound or (value <= float(limit) if sign == "≤" else value >= float(limit))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
