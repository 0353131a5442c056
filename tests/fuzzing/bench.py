"""Bench: one parser, given one hostile file after another; whatever is neither a result nor a UserError is a find.

So is what takes more than ten seconds or a gigabyte more than a sound file does, and a message of several lines or with
control characters.
"""

import contextlib
import hashlib
import resource
import signal
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from fuzzing.mutations import mutated
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky, HypothesisWarning

from bodyposenet.common.errors import SpecError, UserError

CORPUS = Path(__file__).parent / "corpus"
MOST_SECONDS, MOST_BYTES = 10.0, 1 << 30
ROUND = 100  # cases between two looks at the clock
SHRINKS = 400  # attempts to make a find smaller
SHOWN = 300  # characters of a message


class TooLongError(BaseException):
    """A case takes too long; no parser that catches exceptions catches this one."""


class FoundError(Exception):
    """A case is a find: tells hypothesis to look for a smaller one."""


@dataclass(frozen=True)
class Find:
    """A file that a parser did not take as it should.

    Attributes:
        place: What happened, and where in the code.
        reason: The last line of what was raised.
        content: The file.
    """

    place: str
    reason: str
    content: bytes

    def keep(self, folder):
        """Write the file to a corpus; returns its name."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(self.content).hexdigest()[:10]
        path.write_bytes(self.content)
        return path


class Bench:
    """A parser in a folder with all that it reads.

    Args:
        parser: Of ``PARSERS``.
        folder: An empty one.
    """

    def __init__(self, parser, folder):
        self.parser, self.folder = parser, folder
        self.seeds = parser.seeds(folder)
        self.path = folder / parser.file
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.cases, self.known = 0, set()
        self.smallest: dict[str, Find] = {}
        self._shrinks: dict[str, int] = {}

    def try_sound(self):
        """Read the seeds; returns what was refused of them."""
        return [str(error) for content in self.seeds if (error := self._read(content)) is not None]

    def _read(self, content):
        self.path.write_bytes(content)
        try:
            self.parser.parse(self.path)
        except UserError as error:
            return error
        return None

    def try_one(self, content):
        """Give the parser a file; returns a find, or None."""
        self.cases += 1
        before, begun = _peak_bytes(), time.process_time()
        try:
            with _at_most(MOST_SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                error = self._read(content)
        except TooLongError as late:
            return Find(f"more than {MOST_SECONDS:.0f} s at {_innermost(late)}", "too long", content)
        except (Exception, KeyboardInterrupt, SystemExit) as wrong:
            if isinstance(wrong, KeyboardInterrupt):
                raise
            reason = traceback.format_exception_only(wrong)[-1].strip()[:SHOWN]
            return Find(f"{type(wrong).__name__} at {_innermost(wrong)}", reason, content)
        if time.process_time() - begun > MOST_SECONDS:
            return Find("more than 10 s", "too long", content)
        if _peak_bytes() - before > MOST_BYTES:
            return Find("more than 1 GB", f"{_peak_bytes() - before:,} bytes", content)
        return None if error is None else self._judge(error, content)

    def _judge(self, error, content):
        """Hold a message to its form."""
        told = str(error)
        lines = 1 if not isinstance(error, SpecError) else len(told.splitlines())
        if len(told.split("\n")) > lines or not all(each.isprintable() or each in "\n\t" for each in told):
            return Find(f"message at {_innermost(error)}", told[:SHOWN], content)
        return None

    def require(self, content):
        """Give the parser a file, and raise for hypothesis if it is a find at a new place."""
        found = self.try_one(content)
        if found is None or found.place in self.known:
            return
        self._shrinks[found.place] = self._shrinks.get(found.place, 0) + 1
        best = self.smallest.get(found.place)
        if best is None or len(found.content) < len(best.content):
            self.smallest[found.place] = found
        if found.reason == "too long" or found.place.startswith("more") or self._shrinks[found.place] > SHRINKS:
            self.known.add(found.place)
            return
        raise FoundError(found.place)

    def run(self, number, cases, *, fixed=False):
        """Try that many cases of a seed; finds are in ``smallest``."""
        limits = settings(
            max_examples=cases, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet, report_multiple_bugs=False,
            print_blob=False, derandomize=fixed,
        )  # fmt: skip
        judge = given(content=mutated(self.seeds, self.parser.form))(lambda content: self.require(content))
        judge = limits(judge if fixed else seed(number)(judge))
        with contextlib.suppress(FoundError, Flaky):  # finds are kept; what is known by now seems flaky to hypothesis
            _quietly(judge)
        self.known |= self.smallest.keys()

    def run_for(self, seconds, number=0):
        """Try cases for so much processor time."""
        begun = time.process_time()
        while time.process_time() - begun < seconds:
            self.run(number, ROUND)
            number += 1
        return time.process_time() - begun


def _quietly(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # of a find that is large
        run()


@contextlib.contextmanager
def _at_most(seconds):
    """Raise where a block takes more processor time than that."""

    def raise_late(*_):
        raise TooLongError

    before = signal.signal(signal.SIGPROF, raise_late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _innermost(error):
    """The innermost line of this project at which something was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/tests/" not in frame.filename and _is_ours(frame.filename)]
    return f"{_shorten(ours[-1].filename)}:{ours[-1].lineno}" if ours else "the test"


def _is_ours(file):
    return any(part in file for part in ("/common/", "/pipelines/", "/components/")) and "site-packages" not in file


def _shorten(file):
    return "/".join(Path(file).parts[-3:])
