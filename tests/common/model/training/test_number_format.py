"""Which number format a training takes: a pure choice by the wish and the times, and what the times are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.precision import (
    PrecisionChoice,
    PrecisionTimes,
    choose_precision,
    find_half,
    measure_precision,
    needs_timing,
    read_precision,
    take_precision,
)

SECONDS = st.floats(1e-6, 1e3)
TIMES = st.builds(PrecisionTimes, st.sampled_from(["bfloat16", "float16"]), SECONDS, SECONDS)
WISHES = ["auto", True, False, None, "force"]


def timed(gain, half="bfloat16"):
    return PrecisionTimes(half, 1.0, 1.0 / gain if gain else math.inf)


@pytest.mark.parametrize(
    ("wish", "gain", "taken", "reason"),
    [
        ("auto", 2.0, "bfloat16", "bfloat16 is 2 times as fast as float32 here"),
        ("auto", 1.21, "bfloat16", "bfloat16 is 1.2 times as fast as float32 here"),
        ("auto", 1.15, "float32", "bfloat16 is only 1.1 times as fast as float32 here"),
        ("auto", 1 / 15, "float32", "bfloat16 takes 15 times as long as float32 here"),
        ("auto", 0, "float32", "TensorFlow cannot compute in bfloat16 here"),
        (True, 2.0, "bfloat16", "bfloat16 is 2 times as fast as float32 here"),
        (
            True, 1 / 15, "float32",
            "bfloat16 takes 15 times as long as float32 here, so mixed_precision: true is not followed; force would be",
        ),
        ("force", 0, "bfloat16", "mixed_precision: force"),
        (False, 2.0, "float32", "16 bits are not asked for"),
        (None, 2.0, "float32", "16 bits are not asked for"),
    ],
)  # fmt: skip
def test_the_format_and_its_reason_follow_from_the_wish_and_the_times(wish, gain, taken, reason):
    choice = choose_precision(wish, timed(gain))
    assert (choice.name, choice.reason) == (taken, reason)
    assert choice.is_surprising == (wish is True and taken == "float32")


@given(times=TIMES, wish=st.sampled_from(["auto", True]))
def test_16_bits_are_taken_exactly_where_they_are_a_fifth_faster(times, wish):
    taken = choose_precision(wish, times).name
    assert taken == (times.half if times.seconds32 / times.seconds16 >= 1.2 else "float32")


@given(times=TIMES, other=TIMES, wish=st.sampled_from(WISHES))
def test_a_deterministic_training_takes_the_same_whatever_was_timed(times, other, wish):
    other = PrecisionTimes(times.half, other.seconds32, other.seconds16)
    first, second = (choose_precision(wish, one, deterministic=True) for one in (times, other))
    assert first == second
    assert first.name == (times.half if wish in (True, "force") else "float32")


@given(times=TIMES, wish=st.sampled_from(WISHES), kept=st.sampled_from(["float32", "bfloat16", "float16"]))
def test_the_checkpoint_has_the_say_but_over_a_wish_that_leaves_no_choice(times, wish, kept):
    plain = {"force": times.half, False: "float32", None: "float32"}
    assert choose_precision(wish, times, kept=kept).name == plain.get(wish, kept)


@given(
    times=TIMES, wish=st.sampled_from(WISHES), kept=st.sampled_from(["", "float32", "bfloat16"]), fixed=st.booleans()
)
def test_nothing_is_timed_that_has_no_say(times, wish, kept, fixed):
    how = {"deterministic": fixed, "kept": kept}
    untimed = PrecisionTimes(times.half)
    assert needs_timing(wish, **how) or choose_precision(wish, times, **how) == choose_precision(wish, untimed, **how)


def test_a_checkpoint_in_a_format_that_is_slow_here_is_gone_on_from_with_a_warning():
    choice = choose_precision("auto", timed(0.1), kept="bfloat16")
    assert choice.is_surprising
    assert str(choice) == (
        "bfloat16: as the training that goes on was begun; bfloat16 takes 10 times as long as float32 here, "
        "and mixed_precision: false would go on in float32"
    )


def test_a_checkpoint_in_a_format_that_cannot_be_computed_here_is_refused_with_a_way_out():
    with pytest.raises(UserError, match=r"computes in bfloat16, and TensorFlow cannot here; .*set it to false"):
        choose_precision("auto", timed(0), kept="bfloat16")
    turned = choose_precision(None, timed(0), kept="bfloat16")
    assert turned.is_surprising
    assert str(turned) == "float32: 16 bits are not asked for; until its checkpoint it was bfloat16"


def test_policies_are_those_of_keras():
    names = ("float32", "bfloat16", "float16")
    assert [PrecisionChoice(name, "").policy for name in names] == ["float32", "mixed_bfloat16", "mixed_float16"]


def test_this_machine_is_timed_once_and_its_choice_follows_from_that():
    times = measure_precision()
    assert times.half == find_half()
    assert 0 < times.seconds32 < math.inf
    assert times.seconds16 > 0
    assert measure_precision() is times
    assert take_precision("auto") == choose_precision("auto", times)
    assert take_precision("auto", deterministic=True).name == take_precision(None).name == "float32"


def test_a_folder_without_a_training_tells_no_precision(tmp_path):
    assert read_precision(tmp_path) is None
