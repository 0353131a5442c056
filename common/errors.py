"""Errors: what a user's input can do wrong, told so that it can be mended."""

from bodyposenet.common.plain_text import clean_message, escape_line


class UserError(ValueError):
    """Input that cannot be used; the command line prints it and exits 2.

    What it says has no control characters, which a file's names may hold, and no secrets of addresses.

    Args:
        problem: What is wrong, with the offending value.
        where: The file (and line), image id or key at fault.
        fix: What to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        self.problem, self.where, self.fix = problem, where, fix
        place = f"{escape_line(where)}: " if where else ""
        super().__init__(clean_message(place + problem + (f"; {fix}" if fix else "")))


class AwayError(UserError):
    """A storage server that does not answer, or refuses whatever is asked: no single file is at fault."""


class PassingError(AwayError):
    """A server that does not answer now, or is not able to: what may pass by itself, and is worth waiting for."""


class SpecError(UserError):
    """A spec file with one or more problems, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
