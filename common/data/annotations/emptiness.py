"""Emptiness: why nobody is left of a set, every problem with its count, the commonest first."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bodyposenet.common.data.annotations.coco import CocoSet
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.errors import SpecError

_UNMARKED = "have places of joints, but only flags that mean not labelled: see visibility_flags of the dataset spec"


def count_problems(problems: Sequence[Problem]) -> list[str]:
    """Tell every kind of problem with its count and its first example; those that cost something first.

    Args:
        problems: In any order.

    Returns:
        A line for each kind, the commonest first.
    """
    counts = Counter((problem.kept, problem.kind) for problem in problems)
    first = {(problem.kept, problem.kind): problem for problem in reversed(problems)}
    order = sorted(counts, key=lambda key: (key[0], -counts[key]))
    return [f"{counts[key]:,} x {key[1]}{' (mended)' if key[0] else ''}: {first[key]}" for key in order]


def tell_nobody(coco: CocoSet, what: str, others: Mapping[str, int] | None = None) -> SpecError:
    """Make the error of a set of which nobody is left.

    Args:
        coco: The set.
        what: What there is none of.
        others: Why people were turned away who are sound, and how many.
    """
    people = coco.annotations
    blank = ~people.crowds & (people.num_keypoints == 0)
    placed = blank & (people.keypoints[..., :2] != 0).any(axis=(1, 2))
    lines = [f"{coco.path}: {what} in {_count_photos(coco)}", *count_problems(coco.problems)]
    turned = Counter({
        "are crowds: iscrowd is 1": int(people.crowds.sum()),
        "have no labelled joint": int((blank & ~placed).sum()),
        _UNMARKED: int(placed.sum()),
    }) + Counter(others or {})  # fmt: skip
    lines += [f"{number:,} people {reason}" for reason, number in turned.most_common() if number]
    if len(lines) == 1:
        lines.append("the file has no annotations of people: give one that has")
    return SpecError(lines)


def require_people(coco: CocoSet) -> None:
    """Refuse a set in which nobody is labelled.

    Raises:
        UserError: Nobody is; every problem is told.
    """
    if not coco.labelled.any():
        raise tell_nobody(coco, "nobody is labelled")


def _count_photos(coco: CocoSet) -> str:
    used = len(coco.images.ids)
    return f"{used + coco.refused:,} photos" + (f", {coco.refused:,} of which are left out" if coco.refused else "")
