"""Decoders: what reading maps costs in C++, over what it costs here."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.codec import CROWDS, ROUNDS, SKELETON, scenes
from benchmarks.cpp_decoder import FAST, CppDecoder, compile_decoder
from bodyposenet.common.deploy.export.serving_bundle import skeleton_sheet
from bodyposenet.common.pose import decode
from bodyposenet.common.skeleton.card import Card

PLAIN = ("-O2",)

ROWS = {
    "decode_cpp": ("processor time of the C++ decoder over ours, channels last; the worst of 1 to 50 people", "≤ 1.5"),
    "decode_cpp_nchw": ("the same, channels first", "≤ 1.5"),
    "decode_cpp_plain": ("for comparison: the first, compiled for any processor with -O2", ""),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    data = Path(os.environ["BODYPOSENET_TEST_DATA"])
    results = {}
    for name, flags, channels_first in (
        ("decode_cpp", FAST, False),
        ("decode_cpp_nchw", FAST, True),
        ("decode_cpp_plain", PLAIN, False),
    ):
        with tempfile.TemporaryDirectory() as folder:
            decoder = CppDecoder(compile_decoder(Path(folder), *flags), skeleton_sheet(Card(SKELETON)))
            results[name] = max(compare(decoder, data, crowd, channels_first) for crowd in CROWDS)
    return results


def compare(decoder: CppDecoder, data: Path, people: int, channels_first: bool) -> float:
    """The decoder's time over ours, median of the scenes with so many people."""
    ratios = []
    for heatmaps, pafs, _ in scenes(data, people):
        call, _ = decoder.prepare(heatmaps, pafs, channels_first=channels_first)
        ratios.append(divide_times(call, lambda maps=(heatmaps, pafs): decode(*maps, SKELETON)))
    return median(ratios)


def divide_times(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Median processor time of one call over that of another, taken in turn: both compute on one thread, alone."""
    one(), other()  # compiles
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(ROUNDS):
        for call, taken in zip((one, other), times, strict=True):
            begin = time.thread_time_ns()
            call()
            taken.append(time.thread_time_ns() - begin)
    return median(times[0]) / median(times[1])
