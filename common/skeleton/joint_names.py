"""Joint names: the side and the part of a body that they speak of, in any usual style of writing them."""

import re
from collections.abc import Iterator, Sequence

OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
LEFT = ("left", "l")
# LShoulder, lShoulder, shoulder_L, left-shoulder and Left Shoulder are two words each; digits are words of their own.
WORDS = re.compile(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+")
JOINED = re.compile(r"(?<![^\W\d_])(?:left|right)|(?:left|right)(?![^\W\d_])", re.IGNORECASE)  # leftshoulder
INITIAL = re.compile(r"^[lr](?=[a-z])|^[LR](?=[A-Z])")  # lshoulder, LSHO


def pairs_by_name(joints: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the left and the right joint of every pair that the names tell, in the order of the joints."""
    free = dict.fromkeys(joints)
    pairs = []
    for joint in joints:
        pair = next((pair for pair in _readings(joint) if free.keys() >= {*pair}), None)
        if pair is not None:
            pairs.append(pair)
            for name in pair:
                del free[name]
    return tuple(pairs)


def find_side(joint: str) -> str:
    """Return ``left``, ``right``, or nothing for a joint that names no side."""
    pair = next(_readings(joint, (WORDS, JOINED)), ("", ""))
    return ("left" if pair[0] == joint else "right") if pair[0] else ""


def split_names(joints: Sequence[str]) -> list[tuple[str, ...]]:
    """Split each name of a skeleton into its side, or nothing, and its words in small letters, whatever its style.

    ``left_elbow``, ``LElbow``, ``elbow-L`` and ``lelbow`` are all ``("left", "elbow")``; the last one only beside a
    ``relbow``.
    """
    paired = {name for pair in pairs_by_name(joints) for name in pair}
    return [_split(joint, (WORDS, JOINED, INITIAL) if joint in paired else (WORDS, JOINED)) for joint in joints]


def match_spellings(joints: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    """List the joints that are none of the others but in another style, each with what it is called there."""
    meant = {words: other for words, other in zip(split_names(others), others, strict=True) if other not in joints}
    named = zip(joints, split_names(joints), strict=True)
    return [(joint, meant[words]) for joint, words in named if joint not in others and any(words) and words in meant]


def _split(joint: str, patterns: Sequence[re.Pattern[str]]) -> tuple[str, ...]:
    for word in (word for pattern in patterns for word in pattern.finditer(joint)):
        if (side := word[0].lower()) in OTHER:
            rest = f"{joint[: word.start()]} {joint[word.end() :]}"
            return ("left" if side in LEFT else "right", *(each.lower() for each in WORDS.findall(rest)))
    return ("", *(word.lower() for word in WORDS.findall(joint)))


def names_part(joint: str, part: str) -> bool:
    """Tell whether a name has a body part for a word, or as the rest of a word that begins with a side."""
    words = [word.lower() for word in WORDS.findall(joint)]
    return any(word in (part, f"left{part}", f"right{part}") for word in words)


def _readings(joint: str, patterns: Sequence[re.Pattern[str]] = (WORDS, JOINED, INITIAL)) -> Iterator[tuple[str, str]]:
    """List pairs of names, left and right, that a joint may be one of; the likeliest first."""
    for pattern in patterns:
        for word in pattern.finditer(joint):
            side = word[0].lower()
            if side in OTHER:
                other = joint[: word.start()] + _match_case(word[0], OTHER[side]) + joint[word.end() :]
                yield (joint, other) if side in LEFT else (other, joint)


def _match_case(model: str, word: str) -> str:
    """Write a word in small or capital letters like another."""
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
