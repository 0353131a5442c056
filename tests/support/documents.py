"""Documents: the blocks of the project's pages, scaled down by a table, and run one after another as a reader would.

Every page has a folder to work in, and its blocks share it: the folder that one block leaves and the variables that it
exports are the next one's. A block that fails is reported with the page's name and line.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL, PYTHON = "sh", "python"
RUN = (SHELL, PYTHON)  # languages of blocks that are typed; the others show files


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its path below the root.
        line: Of its first line, from 1.
        language: As its fence says.
        text: What a reader would paste.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self):
        """Commands as they stand, with the lines that they go on in."""
        found = []
        for text in re.findall(r"(?:.*(?:\\|\|)\n)*.*\n", self.text):
            found += [text.strip()] if text.strip() else []
        return found

    def __str__(self):
        return f"{self.page}:{self.commands[0].splitlines()[0][:40]}"


@cache
def blocks_of(page, *languages):
    """The blocks of a page in order, of all languages or of some."""
    text = (ROOT / page).read_text()
    found = [Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2]) for match in FENCE.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def pages():
    """All pages of the repository, by their paths below the root."""
    folders = ("docs", "components", "pipelines", "images", "manifests", "benchmarks")
    found = [*ROOT.glob("*.md"), *(page for folder in folders for page in sorted((ROOT / folder).rglob("*.md")))]
    return [page.relative_to(ROOT).as_posix() for page in found]


@dataclass(frozen=True)
class Plan:
    """What is done to the blocks of the pages before they are run.

    Attributes:
        left_out: (page, beginning of a command) -> why it is not run.
        scaled: (page, what stands there) -> (what is run instead, why).
    """

    left_out: dict
    scaled: dict

    def reason(self, block, command):
        """Why a command is not run; None if it is."""
        reasons = [
            why for (page, begin), why in self.left_out.items() if page == block.page and command.startswith(begin)
        ]
        return reasons[0] if reasons else None

    def runs(self, block):
        """Whether anything of a block is run."""
        return block.language in RUN and any(self.reason(block, text) is None for text in block.commands)

    def text(self, block):
        """What is run of a block; lines keep their numbers."""
        text = block.text
        for command in block.commands:
            if self.reason(block, command) is not None:
                text = text.replace(command, ":" + "\n" * command.count("\n"), 1)
        for (page, there), (instead, _) in self.scaled.items():
            if page == block.page:
                text = text.replace(there, instead)
        return text


@dataclass
class Reader:
    """Somebody who reads a page and pastes its blocks.

    Attributes:
        folder: To work in.
        programs: Put before PATH.
        plan: What is left out and scaled down.
        environment: Variables, as the blocks so far have left them.
        given: Beginning of a block -> makes what it takes for granted.
        said: What each block has printed.
    """

    folder: Path
    programs: Path
    plan: Plan
    environment: dict
    given: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)

    def __post_init__(self):
        self.at = self.folder
        self.environment["PATH"] = f"{self.programs}{os.pathsep}{self.environment['PATH']}"

    def read_until(self, wanted):
        """Run the blocks of a page up to and with this one, those apart that were run; returns what it printed."""
        for block in blocks_of(wanted.page, *RUN):
            if block not in self.said and self.plan.runs(block):
                for begin in [begin for begin in self.given if block.text.startswith(begin)]:
                    self.given[begin](self)
                    del self.given[begin]
                self.said[block] = self.run(block)
            if block == wanted:
                break
        return self.said[wanted]

    def run(self, block):
        """Run a block; returns what it printed.

        Raises:
            AssertionError: A command failed.
        """
        done = subprocess.run(
            ["bash", "-c", self.script(block)], cwd=self.at, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.page}:{block.line}: exit code {done.returncode}\n{done.stdout[-6000:]}"
        left = (self.folder / ".left").read_text().split("\0")
        self.at = Path(left[0].removesuffix("\n"))
        self.environment = dict(each.split("=", 1) for each in left[1:] if each)
        return done.stdout

    def script(self, block):
        """The block for bash: it ends at the first failure, says where, and puts down what it leaves."""
        text = self.plan.text(block)
        if block.language == PYTHON:
            file = self.folder / f".{block.page.replace('/', '-')}"  # lines of a traceback are those of the page
            file.write_text("\n" * (block.line - 1) + text)
            text = f"warm-python '{file}'\n"
        begin = f"""set -eEo pipefail; trap 'echo "{block.page}:$((LINENO + {block.line - 2})): failed"' ERR\n"""
        return f"{begin}{text}trap - ERR; {{ pwd -P; printf '\\0'; env -0; }} > '{self.folder}/.left'\n"
