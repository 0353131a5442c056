"""House: the figures that hold the layout, counted on small trees whose figures can be counted by hand."""

from pathlib import Path

import pytest
from support.house import (
    draw_graph,
    find_circles,
    fold_graph,
    is_misnamed,
    list_functions,
    list_hashing,
    list_renames,
    measure,
    read_modules,
)

EMPTY = (
    "common/data/samples.py",
    "common/data/coco.py",
    "common/data/convert.py",
    "components/c.py",
    "common/__init__.py",
)
ONE = "def run(a): return a\n"


def tree(folder: Path, **files: str) -> dict:
    """Files by names whose __ stand for slashes; and those without which nothing can be measured."""
    texts = dict.fromkeys(EMPTY, "") | {"components/c.py": "def c(a: int): return a\n", "common/data/convert.py": ONE}
    texts |= {name.replace("__", "/") + ".py": text for name, text in files.items()}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return read_modules(folder)


CLOSING = {
    "at the head": "from bodyposenet.common.a import x\n",
    "in a function": "def f():\n    from bodyposenet.common import a\n",
    "for types alone": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bodyposenet.common.a\n",
}


@pytest.mark.parametrize("text", CLOSING.values(), ids=CLOSING)
def test_an_import_closes_a_circle_wherever_it_stands(tmp_path, text):
    graph = draw_graph(
        tree(tmp_path, common__a="from bodyposenet.common.b import y\nx = 1\n", common__b=text + "y = 1\n")
    )
    assert find_circles(graph) == [["common/a.py", "common/b.py"]]


def test_packages_may_be_a_circle_where_files_are_none(tmp_path):
    files = {
        "common__one__a": "from bodyposenet.common.two.b import y\n",
        "common__two__b": "y = 1\n",
        "common__two__c": "from bodyposenet.common.one.d import z\n",
        "common__one__d": "z = 1\n",
    }
    graph = draw_graph(tree(tmp_path, **files))
    assert find_circles(graph) == []
    assert find_circles(fold_graph(graph)) == [["common/one", "common/two"]]


def test_modules_directly_in_common_are_packages_of_their_own(tmp_path):
    files = {
        "common__errors": "x = 1\n",
        "common__storage__files": "from bodyposenet.common.errors import x\n",
        "common__exits": "from bodyposenet.common.storage import files\n",
    }
    assert find_circles(fold_graph(draw_graph(tree(tmp_path, **files)))) == []


NAMES = {
    "def opened(): pass": True,
    "def _told_of(): pass": True,
    "def written_file(): pass": True,
    "def weights_of(model): pass": True,
    "def open_file(): pass": False,
    "def feed(): pass": False,
    "def is_encrypted(): pass": False,
    "def read(): pass": False,
    "@property\ndef fixed(self): pass": False,
    "@functools.cached_property\ndef opened(self): pass": False,
}


@pytest.mark.parametrize("text", NAMES)
def test_functions_named_by_participles_are_found(tmp_path, text):
    ((_, function),) = [each for each in list_functions(tree(tmp_path, common__a=text)) if each[0] == "common/a.py"]
    assert is_misnamed(function) is NAMES[text]


def test_all_figures_of_a_tree_are_as_a_hand_counts_them(tmp_path):
    files = {
        "common__data__coco": "from bodyposenet.common.data.sub import s\nclass Twice: pass\n",
        "common__data__sub": "import bodyposenet.common.storage\ns = 1\nclass Twice: pass\n",
        "common__storage": '"""Storage."""\ndef f(self, a, *, b, **c):\n    """D."""\n    a\n    b\n    c\n    a\n',
        "components__d": "def d(a: int, b: OutputPath(), *, e: str): pass\n",
        "pipelines__p": "@click.command('x')\ndef p(a, b, c, d, e): pass\n",
    }
    figures, found = measure(tree(tmp_path, **files))
    assert found["names of two classes"] == ["Twice: common/data/coco.py, common/data/sub.py"]
    assert found["closure of read a COCO file"] == ["common/data/coco.py", "common/data/sub.py"]
    assert figures == {
        "loose modules in common/": 1,
        "files in one folder": 4,
        "circles of files": 0,
        "circles of packages": 0,
        "closure of one training sample": 1,
        "closure of read a COCO file": 2,
        "closure of convert": 1,
        "functions named by participles or *_of, %": 0,
        "names of two classes": 1,
        "functions of 3 lines or fewer, %": 80,
        "inputs of a component or pipeline": 2,
        "parameters of a function": 3,
        "modules that hash by themselves": 0,
        "renames outside storage": 0,
    }


def test_modules_that_hash_are_counted_outside_storage(tmp_path):
    files = {"common__a": "import hashlib\n", "common__b": "from hashlib import sha256\n"}
    trees = tree(tmp_path, **files, common__storage__digests="import hashlib\n", common__c="import hash\n")
    assert list_hashing(trees) == ["common/a.py", "common/b.py"]


def test_members_of_protocols_have_no_body_to_be_short(tmp_path):
    member, documented = "    def told(self): ...\n", '    def f(self):\n        """D."""\n        ...\n'
    text = f"class A(Protocol):\n{member}{documented}    def g(self): return 1\n"
    _, found = measure(tree(tmp_path, common__data__coco=text))
    short = [each for each in found["functions of 3 lines or fewer, %"] if each.startswith("common/data/coco.py")]
    assert short == ["common/data/coco.py:6 g"]


RENAMES = {
    "os.replace(a, b)": True,
    "shutil.move(a, b)": True,
    "path.replace(target)": True,
    "path.rename(target)": True,
    "text.replace('a', 'b')": False,
    "replace(spec, key=1)": False,
    "date.replace(hour=1)": False,
    "date.replace(*parts)": False,
}


@pytest.mark.parametrize("call", RENAMES)
def test_renames_are_counted_outside_storage(tmp_path, call):
    trees = tree(tmp_path, common__a=f"x = 1\n{call}\n", common__storage__files=f"{call}\n")
    assert list_renames(trees) == ["common/a.py:2"] * RENAMES[call]
