"""Cron: expressions as Kubeflow's controller reads them, seconds first, and when they come next.

The controller takes robfig/cron 1.2: second, minute, hour, day of the month, month, day of the week, of which it lets
the last be left out. A crontab's five fields are therefore accepted there, and mean something else; here they are not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
ANY = ("*", "?")
PART = re.compile(r"(?P<first>\*|\?|\w{1,9})(-(?P<last>\w{1,9}))?(/(?P<step>\d{1,9}))?", re.ASCII)  # as Go reads it
HORIZON = timedelta(days=5 * 366)  # the controller looks no further


@dataclass(frozen=True)
class Field:
    """One of the six fields: its name, its least and greatest number, and the words that stand for numbers."""

    name: str
    least: int
    greatest: int
    words: tuple[str, ...] = ()

    def numbers(self, text: str) -> frozenset[int]:
        """The numbers that the text of a field stands for.

        Raises:
            ValueError: It stands for none.
        """
        return frozenset(number for part in text.split(",") for number in self._part(part))

    def _part(self, text: str) -> range:
        found = PART.fullmatch(text)
        if not found or (found["first"] in ANY and found["last"]):
            raise ValueError(f"{self.name} {text!r} is no number, range or step, such as 5, 1-5 or */2")
        first = self.least if found["first"] in ANY else self._number(found["first"])
        open_ended = found["first"] in ANY or (found["step"] and not found["last"])
        last = self.greatest if open_ended else self._number(found["last"] or found["first"])
        step = int(found["step"] or 1)
        if step < 1 or first > last:
            raise ValueError(f"{self.name} {text!r} is empty: a range goes upwards, in steps of at least 1")
        return range(first, last + 1, step)

    def _number(self, text: str) -> int:
        if text.lower() in self.words:
            return self.words.index(text.lower()) + self.least
        if not text.isdecimal() or not self.least <= int(text) <= self.greatest:
            sunday = "; Sunday is 0" if text == "7" and self.words == WEEKDAYS else ""
            words = f", or {self.words[0]} to {self.words[-1]}" if self.words else ""
            raise ValueError(f"{self.name} should be {self.least} to {self.greatest}{words} (got {text!r}){sunday}")
        return int(text)


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 6, WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """A parsed expression.

    Attributes:
        times: ``(hour, minute, second)`` of a day, in order.
        days: Of the month.
        months: Of the year.
        weekdays: Sunday is 0.
        either: A day must be one of ``days`` or of ``weekdays``, and not of both.
    """

    times: tuple[tuple[int, int, int], ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The moments after ``moment`` at which it comes, within five years."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for days in range(HORIZON.days):
            day = midnight + timedelta(days=days)
            if self._on(day):
                yield from (at for at in self._within(day) if at > moment)

    def _on(self, day: datetime) -> bool:
        matches = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (any(matches) if self.either else all(matches))

    def _within(self, day: datetime) -> Iterator[datetime]:
        return (day.replace(hour=hour, minute=minute, second=second) for hour, minute, second in self.times)


def parse(text: str) -> Cron:
    """Read an expression.

    Raises:
        ValueError: It is none, has five fields, or never comes.
    """
    words = DESCRIPTORS.get(text.strip(), text).split()
    if text.startswith("@") and text.strip() not in DESCRIPTORS:
        advice = "; give an interval instead" if text.startswith("@every") else ""
        raise ValueError(f"one of {', '.join(DESCRIPTORS)}, or six fields{advice}")
    if text.lstrip().startswith(("TZ=", "CRON_TZ=")):
        raise ValueError(
            "no schedule has a time zone of its own: CRON_SCHEDULE_TIMEZONE of Kubeflow's controller holds"
        )
    if len(words) == 5:
        raise ValueError(
            f"Kubeflow's cron begins with seconds, and would take these five fields for another time; "
            f'for crontab\'s meaning write "0 {" ".join(words)}"'
        )
    if len(words) != 6:
        raise ValueError('six fields: second minute hour day month weekday, such as "0 0 2 * * *" for two at night')
    seconds, minutes, hours, days, months, weekdays = (
        field.numbers(word) for field, word in zip(FIELDS, words, strict=True)
    )
    if len(seconds) > 1:
        raise ValueError(f"this comes {len(seconds)} times within a minute; begin with one second, such as 0")
    starred = any(part[0] in ANY for place in (3, 5) for part in words[place].split(","))
    times = tuple(product(sorted(hours), sorted(minutes), sorted(seconds)))
    cron = Cron(times, days, months, weekdays, either=not starred)
    if next(cron.after(datetime(2026, 1, 1, tzinfo=UTC)), None) is None:
        raise ValueError("there is no such day")
    return cron
