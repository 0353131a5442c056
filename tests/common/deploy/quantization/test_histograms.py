import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.deploy.quantization.histograms import (
    BINS,
    TIE,
    Histogram,
    divergences,
    entropy_threshold,
    least_divergent,
    threshold,
)
from bodyposenet.common.deploy.quantization.tensorrt_cache import cache_text
from bodyposenet.common.errors import UserError


def draws(seed, count, spread=1.0):
    return (np.random.default_rng(seed).standard_normal(count) * spread).astype(np.float32)


@given(
    seed=st.integers(0, 1000),
    cut=st.integers(1, 499),
    spreads=st.tuples(st.floats(1e-4, 1e4), st.floats(1e-4, 1e4)),
)
def test_two_halves_merge_into_the_histogram_of_the_whole_in_any_order(seed, cut, spreads):
    values = draws(seed, 500)
    first, second = values[:cut] * np.float32(spreads[0]), values[cut:] * np.float32(spreads[1])
    whole = Histogram.count(np.concatenate([first, second]))
    for merged in (
        Histogram.count(first).merge(Histogram.count(second)),
        Histogram.count(second).merge(Histogram.count(first)),
    ):
        assert (merged.exponent, merged.low, merged.high) == (whole.exponent, whole.low, whole.high)
        np.testing.assert_array_equal(merged.counts, whole.counts)


def test_bins_are_those_that_numpy_counts():
    values = draws(0, 10_000, spread=0.7)
    histogram = Histogram.count(values)
    expected, _ = np.histogram(np.abs(values), BINS, (0, 2.0**histogram.exponent))
    np.testing.assert_array_equal(histogram.counts, expected)
    assert 2.0 ** (histogram.exponent - 1) <= histogram.amax < 2.0**histogram.exponent


def test_a_power_of_two_as_largest_value_has_its_bin():
    histogram = Histogram.count(np.array([1.0, -4.0], np.float32))
    assert histogram.counts.sum() == 2
    assert histogram.counts[BINS // 2] == 1  # 4 of [0, 8)


def test_zeros_have_a_histogram_and_merge():
    zeros = Histogram.count(np.zeros(7, np.float32))
    assert zeros.amax == 0
    assert threshold(zeros, "entropy", levels=128) == threshold(zeros, "percentile", levels=128) == 0
    merged = zeros.merge(Histogram.count(np.array([3.0], np.float32)))
    assert (merged.counts[0], merged.amax) == (7, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(UserError, match="not a finite number"):
        Histogram.count(np.array([0, bad], np.float32))


def divergence_bin_by_bin(counts, size, levels):
    """The textbook search of TensorRT's calibrator, a loop over levels and bins."""
    reference = counts[:size].copy()
    reference[-1] += counts[size:].sum()
    candidate = np.zeros(size)
    for level in range(levels):
        start, stop = level * size // levels, (level + 1) * size // levels
        filled = reference[start:stop] > 0
        if filled.any():
            candidate[start:stop][filled] = counts[start:stop].sum() / filled.sum()
    candidate = np.maximum(candidate / counts[:size].sum(), 1e-300)
    reference = reference / reference.sum()
    some = reference > 0
    return (reference[some] * np.log(reference[some] / candidate[some])).sum()


@pytest.mark.parametrize("levels", [128, 256])
def test_running_sums_give_the_divergences_of_the_loop_over_bins(levels):
    counts = np.random.default_rng(3).poisson(40 * np.exp(-np.arange(900) / 120)).astype(np.float64)
    sizes = np.array([levels, 300, 511, 760, 899, 900])
    expected = [divergence_bin_by_bin(counts, size, levels) for size in sizes]
    np.testing.assert_allclose(divergences(counts, sizes, levels), expected, rtol=1e-9, atol=1e-12)


@numba.njit
def every_divergence(counts, levels):
    """:func:`divergence_bin_by_bin` of every size from ``levels`` to all bins, as loops over single numbers."""
    total = counts.sum()
    found = np.empty(len(counts) - levels + 1)
    kept = counts[: levels - 1].sum()
    for size in range(levels, len(counts) + 1):
        kept += counts[size - 1]
        tail = total - kept
        divergence = 0.0
        for level in range(levels):
            start, stop = level * size // levels, (level + 1) * size // levels
            mass, filled = 0.0, 0
            for place in range(start, stop):
                mass += counts[place]
                filled += counts[place] > 0 or (place == size - 1 and tail > 0)
            for place in range(start, stop):
                one = counts[place] + (tail if place == size - 1 else 0.0)
                if one > 0:
                    share = mass / filled / kept if kept > 0 else 0.0
                    divergence += one / total * np.log(one / total / max(share, 1e-300))
        found[size - levels] = divergence if kept > 0 else np.inf
    return found


def random_counts(number):
    """2,048 bins as tensors fill them: bells, tails, gaps, spikes, and few values."""
    random = np.random.default_rng(number)
    bins = np.arange(2048)
    shape = random.choice(["bell", "decay", "flat", "few"])
    rate = {
        "bell": 300 * np.exp(-0.5 * (bins / random.uniform(60, 900)) ** 2),
        "decay": random.uniform(1, 500) * np.exp(-bins / random.uniform(20, 600)),
        "flat": np.full(2048, random.uniform(0.05, 30)),
        "few": np.full(2048, 0.02),
    }[shape]
    counts = random.poisson(rate).astype(np.float64)
    counts[random.random(2048) < random.choice([0, 0.3])] = 0
    counts[random.integers(0, 2048, 3)] += random.integers(0, 200, 3)
    counts[-1] += 1  # the largest value
    return counts


def test_the_loop_over_numbers_is_that_over_bins():
    for number in range(4):
        counts = random_counts(number)
        found = every_divergence(counts, 128)
        for size in (128, 129, 500, 1024, 2047, 2048):
            if not counts[:size].any():
                assert found[size - 128] == np.inf
                continue
            assert found[size - 128] == pytest.approx(divergence_bin_by_bin(counts, size, 128), rel=1e-9, abs=1e-12)


@pytest.mark.slow
def test_the_entropy_search_is_the_plain_one_on_hundreds_of_histograms():
    for number in range(250):  # 1,000 agreed, too; a plain search takes 25 ms
        counts = random_counts(number)
        plain = every_divergence(counts, 128)
        least = 128 + int(np.flatnonzero(plain <= plain.min() + TIE)[0])
        assert least_divergent(counts) == least, number


def test_entropy_clips_a_lone_outlier_and_keeps_what_is_evenly_spread():
    bulk = draws(1, 200_000)
    outlier = Histogram.count(np.append(bulk, np.float32(30)))
    assert 2 < entropy_threshold(outlier, 128) < 10
    even = Histogram.count(np.linspace(0, 5, 100_000, dtype=np.float32))
    assert threshold(even, "entropy", levels=128) > 4.9


def test_zeros_of_a_relu_do_not_move_the_entropy_threshold():
    positive = np.abs(draws(2, 100_000))
    with_zeros = np.append(positive, np.zeros(1_000_000, np.float32))
    assert entropy_threshold(Histogram.count(with_zeros), 128) == entropy_threshold(Histogram.count(positive), 128)


def test_minmax_keeps_all_and_percentile_all_but_one_in_ten_thousand():
    values = np.linspace(-1, 3, 400_001, dtype=np.float32)
    histogram = Histogram.count(values)
    assert threshold(histogram, "minmax", levels=128) == 3
    kept = np.abs(values) <= threshold(histogram, "percentile", levels=128)
    assert 0.9999 <= kept.mean() < 0.9999 + 4 / BINS


def test_the_cache_is_tensorrts_text():
    # 1.0 is 3f800000, 0.5 is 3f000000: IEEE 754, big-endian
    assert cache_text({"input_1": 127.0, "block_1a_relu": 63.5}) == (
        "TRT-8501-EntropyCalibration2\ninput_1: 3f800000\nblock_1a_relu: 3f000000\n"
    )


def test_a_threshold_below_every_value_is_never_chosen():
    far = Histogram.count(np.linspace(0.9, 1.0, 5000, dtype=np.float32))
    assert threshold(far, "entropy", levels=128) >= 0.9
