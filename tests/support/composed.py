"""The pipeline of docs/composing.md, as somebody compiles it who has kfp and nothing of this package."""

import os
import shutil
import subprocess

from support.documents import PYTHON, ROOT, blocks_of

PAGE = "docs/composing.md"
STEPS = ("calibrate", "bundle", "evaluate")
# Nothing but kfp and what that needs can be imported.
ALONE = """
import importlib.abc, runpy, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def write_page(folder):
    """Put the page's two pipelines and the components that they load into a folder; gives the programs."""
    (folder / "steps").mkdir()
    for name in STEPS:
        shutil.copy(ROOT / f"components/compiled/{name}.yaml", folder / "steps")
    programs = []
    for block, name in zip(blocks_of(PAGE, PYTHON), ("quantize", "score"), strict=True):
        programs.append(folder / f"{name}.py")
        programs[-1].write_text(block.text)
    return programs


def compile_alone(python, program, *blocked):
    """Run a program of the page in a process that has no access to this tree; gives the compiled pipeline."""
    words = [str(python), "-W", "ignore", "-c", ALONE, str(program), *blocked]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BODYPOSENET"))}
    done = subprocess.run(words, cwd=program.parent, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program.with_suffix(".yaml")
