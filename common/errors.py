"""Errors: what a user's input can do wrong, told so that it can be mended."""

from collections.abc import Sequence

from bodyposenet.common.plain_text import clean_message, escape_line, join_lines

# What taking apart raises that is not what it should be: a stranger's JSON, or a file that lost a part
MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


class UserError(ValueError):
    """Input that cannot be used; the command line prints it and exits 2.

    What it says is a line, has no control characters, which a file's names may hold, and no secrets of addresses.

    Args:
        problem: What is wrong, with the offending value.
        where: The file (and line), image id or key at fault.
        fix: What to do about it.
        more: Further lines: of problems that are told at once.
    """

    def __init__(self, problem: str, *, where: str = "", fix: str = "", more: Sequence[str] = ()) -> None:
        self.problem, self.where, self.fix = problem, where, fix
        place = f"{escape_line(where)}: " if where else ""
        said = [place + problem + (f"; {fix}" if fix else ""), *more]
        super().__init__(clean_message("\n".join(map(join_lines, said))))


class AwayError(UserError):
    """A storage server that does not answer, or a machine that has run out of something: no single file is at fault."""


class PassingError(AwayError):
    """A server that does not answer now, or is not able to: what may pass by itself, and is worth waiting for."""


class SpecError(UserError):
    """A spec file with one or more problems, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        told = problems if isinstance(problems, str) else "\n".join(problems)  # a text where it comes from a worker
        first, *more = told.split("\n")  # a problem may be those of another file
        super().__init__(first, more=more)
