"""Cron: six fields as Kubeflow's controller reads them, and the moments they stand for."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.pipelines.schedules.cron import parse

NOW = datetime(2026, 11, 25, 20, 30, 15, tzinfo=UTC)  # a Wednesday


def following(text, count=3, now=NOW):
    return [f"{at:%a %Y-%m-%d %H:%M:%S}" for at in islice(parse(text).after(now), count)]


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        ("0 0 2 * * *", ["Thu 2026-11-26 02:00:00", "Fri 2026-11-27 02:00:00", "Sat 2026-11-28 02:00:00"]),
        ("30 45 20 * * ?", ["Wed 2026-11-25 20:45:30", "Thu 2026-11-26 20:45:30", "Fri 2026-11-27 20:45:30"]),
        ("0 */20 * * * *", ["Wed 2026-11-25 20:40:00", "Wed 2026-11-25 21:00:00", "Wed 2026-11-25 21:20:00"]),
        ("0 0 9/5 * * *", ["Thu 2026-11-26 09:00:00", "Thu 2026-11-26 14:00:00", "Thu 2026-11-26 19:00:00"]),
        ("0 0 2 * * MON-fri", ["Thu 2026-11-26 02:00:00", "Fri 2026-11-27 02:00:00", "Mon 2026-11-30 02:00:00"]),
        ("0 0 2 31 dec,jan *", ["Thu 2026-12-31 02:00:00", "Sun 2027-01-31 02:00:00", "Fri 2027-12-31 02:00:00"]),
        ("0 0 0 29 2 *", ["Tue 2028-02-29 00:00:00"]),
        ("@daily", ["Thu 2026-11-26 00:00:00", "Fri 2026-11-27 00:00:00", "Sat 2026-11-28 00:00:00"]),
        ("@weekly", ["Sun 2026-11-29 00:00:00", "Sun 2026-12-06 00:00:00", "Sun 2026-12-13 00:00:00"]),
        ("@hourly", ["Wed 2026-11-25 21:00:00", "Wed 2026-11-25 22:00:00", "Wed 2026-11-25 23:00:00"]),
    ],
)
def test_an_expression_comes_when_it_says(text, moments):
    assert following(text) == moments


def test_a_day_of_both_kinds_is_one_of_either():
    assert following("0 0 2 1 * mon") == [
        "Mon 2026-11-30 02:00:00",
        "Tue 2026-12-01 02:00:00",
        "Mon 2026-12-07 02:00:00",
    ]


def test_the_moment_itself_is_past():
    assert following("15 30 20 25 11 *", 1) == ["Thu 2027-11-25 20:30:15"]


@pytest.mark.parametrize(
    ("five", "six"), [("0 2 * * *", "0 0 2 * * *"), ("*/5 * * * *", "0 */5 * * * *"), ("0 9 ? * 1-5", "0 0 9 ? * 1-5")]
)
def test_a_crontab_s_five_fields_are_refused_with_the_six_that_are_meant(five, six):
    with pytest.raises(ValueError, match="begins with seconds") as refusal:
        parse(five)
    assert f'write "{six}"' in str(refusal.value)
    parse(six)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "six fields"),
        ("0 0 2 *", "six fields"),
        ("0 0 2 * * * 2026", "six fields"),
        ("60 0 2 * * *", r"second should be 0 to 59 \(got '60'\)"),
        ("0 0 24 * * *", "hour should be 0 to 23"),
        ("0 0 2 0 * *", "day of the month should be 1 to 31"),
        ("0 0 2 * 13 *", "month should be 1 to 12, or jan to dec"),
        ("0 0 2 * * 7", "day of the week should be 0 to 6, or sun to sat .*; Sunday is 0"),
        ("0 0 2 * * freitag", "day of the week should be"),
        ("0 0 5-2 * * *", "'5-2' is empty"),
        ("0 0 */0 * * *", "'\\*/0' is empty"),
        ("0 0 2 *-5 * *", "is no number, range or step"),
        ("0 0 2, * * *", "is no number, range or step"),
        ("0 0 2 L * *", "day of the month should be"),
        ("0 \u0663 2 * * *", "minute '\u0663' is no number, range or step"),
        ("0 */\u0663 2 * * *", "is no number, range or step"),
        ("0 0/99999999999999999999 2 * * *", "is no number, range or step"),
        (f"0 {'9' * 5000} 2 * * *", "is no number, range or step"),
        ("TZ=Europe/Berlin 0 0 2 * * *", "no schedule has a time zone of its own: CRON_SCHEDULE_TIMEZONE"),
        ("CRON_TZ=UTC @daily", "no schedule has a time zone of its own"),
        ("* 0 2 * * *", "60 times within a minute"),
        ("0 0 2 30 feb *", "there is no such day"),
        ("@every 6h", "give an interval instead"),
        ("@dayly", "one of @yearly, "),
    ],
)
def test_what_the_controller_could_not_read_or_nobody_means_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse(text)


FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}


@st.composite
def fields(draw):
    """Sets of numbers for the five fields, some of them stars."""
    sets = {}
    for name, (least, greatest) in FIELDS.items():
        some = st.sets(st.integers(least, greatest), min_size=1, max_size=4)
        sets[name] = draw(st.none() | some)
    sets["month"] = None  # or years pass without one
    return sets


@given(sets=fields(), start=st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)))
def test_every_moment_of_the_next_days_is_found_and_no_other(sets, start):
    text = " ".join(["0", *("*" if each is None else ",".join(map(str, sorted(each))) for each in sets.values())])
    end = start + timedelta(days=2)
    minutes = [start.replace(second=0, microsecond=0) + timedelta(minutes=n) for n in range(1, 2 * 24 * 60 + 1)]
    wanted = [at for at in minutes if at <= end and matches(sets, at)]
    found = []
    for at in parse(text).after(start):
        if at > end:
            break
        found.append(at)
    assert found == wanted


def matches(sets, at):
    """The rule in its own words: all fields hold, but of two restricted days one is enough."""
    of_month = sets["day"] is None or at.day in sets["day"]
    of_week = sets["weekday"] is None or (at.weekday() + 1) % 7 in sets["weekday"]
    either = sets["day"] is not None and sets["weekday"] is not None
    on_day = (of_month or of_week) if either else (of_month and of_week)
    in_time = all(sets[name] is None or getattr(at, name) in sets[name] for name in ("minute", "hour"))
    return on_day and in_time
