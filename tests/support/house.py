"""House: what the folders, the imports and the names of the code come to, held to bounds; ``make lint`` runs it.

    python tests/support/house.py [--list] [FOLDER]

Counts the Python files of ``bodyposenet/``, ``common/``, ``components/`` and ``pipelines/``. An import counts wherever
it stands: at a file's head, in a function, or for types alone. A figure above its bound ends the process with exit code
1. ``BOUNDS`` says, for each figure, what it was before the folders were redrawn, what is allowed, and where it is to
go; who lowers a figure lowers its bound.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOPS = ("bodyposenet", "common", "components", "pipelines")
ROOT = "bodyposenet"
MANY_FILES = ("components", "common/cli")  # a file a component, a file a verb
# What one may want to read by itself, and the module that does it, by its names after and before. What it needs of
# common/data is counted: the rest, storage and specs, serves everybody.
JOURNEYS = {
    "one training sample": ("common/data/loading/record_source.py", "common/data/samples.py"),
    "read a COCO file": ("common/data/annotations/coco.py", "common/data/coco.py"),
    "convert": ("common/data/conversion/convert.py", "common/data/convert.py"),
}

# Where digests and whole files come from, by its names after and before
STORAGE = ("common/storage", "common/crypto.py", "common/data/aside.py", "common/data/fingerprint.py")

# Past participles that do not end in -ed. A verb that is its own participle ("read", "put", "cut") is no offence.
PARTICIPLES = frozenset(
    """bent bound bought broken brought built caught chosen done drawn driven eaten fallen fed felt found forgotten
    frozen given gone grown heard held hidden kept known laid led left lent lost made meant met paid proven ridden
    risen said seen sent shaken shown shut slept sold sought spelt spent spoken spun stood stolen struck sunk swept
    sworn taken taught thought thrown told torn understood undone woken won worn wound woven written""".split()  # noqa: SIM905
)
# Verbs that end in -ed
VERBS = frozenset(
    {"bed", "breed", "embed", "exceed", "feed", "heed", "need", "proceed", "seed", "shed", "speed", "succeed"}
)


@dataclass(frozen=True)
class Bound:
    """What a figure was, may be, and is to become."""

    before: float
    most: float
    target: float


BOUNDS = {
    "loose modules in common/": Bound(43, 4, 4),
    "files in one folder": Bound(49, 20, 20),
    "circles of files": Bound(2, 0, 0),
    "circles of packages": Bound(3, 0, 0),
    "closure of one training sample": Bound(32, 14, 14),
    # One reader takes the annotations of every tool; each tool's format is a module of its own, and several where a
    # dataset's settings, its layout and its labels are a subject each, or XML and what is read of it. JSON's text,
    # entries that are read many at a time and outlines that stay text are three more, so that a large file costs
    # little; so are people in bulk, a closer look at one of them, the table that both come to, and what looks
    # wrong with a file as a whole
    "closure of read a COCO file": Bound(20, 34, 18),
    # How a photo becomes a record, what is known of one, which of a set stand and what is written for the rest are a
    # module each; so are the work from a plan to a set, what is noted before a set appears, what a manifest may say,
    # the rows of some photos, the held-out photos, and, of the report, what makes a label suspicious, how it is shown,
    # and the formats in which labelling tools take it
    "closure of convert": Bound(42, 73, 35),
    "functions named by participles or *_of, %": Bound(14.1, 1, 1),
    "names of two classes": Bound(16, 0, 0),
    "functions of 3 lines or fewer, %": Bound(40.3, 38.4, 27),
    "inputs of a component or pipeline": Bound(15, 15, 15),
    "parameters of a function": Bound(11, 10, 10),
    "modules that hash by themselves": Bound(22, 5, 5),
    "renames outside storage": Bound(9, 5, 5),
}


def read_modules(folder: Path) -> dict[str, ast.Module]:
    """Parse every file, by its path below the folder."""
    paths = sorted(path for top in TOPS for path in (folder / top).rglob("*.py"))
    return {path.relative_to(folder).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def name_module(file: str) -> str:
    """Give the dotted name by which a file is imported."""
    dotted = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return dotted if dotted.split(".")[0] == ROOT else f"{ROOT}.{dotted}"


def list_imports(tree: ast.Module) -> Iterator[str]:
    """List the dotted names that a file imports, ``module.name`` where it takes a name from a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def draw_graph(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Find which of these files each of them imports."""
    files = {name_module(file): file for file in trees}
    graph = {}
    for file, tree in trees.items():
        found = {files.get(name) or files.get(name.rpartition(".")[0]) for name in list_imports(tree)}
        graph[file] = {other for other in found if other and other != file}
    return graph


def fold_graph(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Draw the same for packages; a module directly below the root or in ``common/`` is a room of its own."""
    rooms: dict[str, set[str]] = {}
    for file, others in graph.items():
        rooms.setdefault(room(file), set()).update(room(other) for other in others)
    return {name: others - {name} for name, others in rooms.items()}


def room(file: str) -> str:
    """Name the package that a file is in."""
    folder = file.rpartition("/")[0]
    return file if folder in (ROOT, "common") else folder


def reach(graph: dict[str, set[str]], start: str) -> set[str]:
    """Collect what a file imports, what that imports, and so on; the file itself, too."""
    found, to_do = {start}, [start]
    while to_do:
        new = graph[to_do.pop()] - found
        found |= new
        to_do += new
    return found


def find_circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Find the sets of nodes that all reach each other."""
    closures = {node: reach(graph, node) for node in graph}
    circles = {frozenset(other for other in closures[node] if node in closures[other]) for node in graph if graph[node]}
    return sorted(sorted(circle) for circle in circles if len(circle) > 1)


def list_functions(trees: dict[str, ast.Module]) -> Iterator[tuple[str, ast.FunctionDef]]:
    """List all functions and methods with the files that they are in."""
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield file, node


def collect_decorators(function: ast.FunctionDef) -> set[str]:
    """Collect the words of a function's decorators."""
    nodes = [node for decorator in function.decorator_list for node in ast.walk(decorator)]
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def is_misnamed(function: ast.FunctionDef) -> bool:
    """Tell whether a function is named by a participle, or as something of something; properties may be."""
    if collect_decorators(function) & {"property", "cached_property"}:
        return False
    words = function.name.strip("_").split("_")
    first = words[0]
    participle = first in PARTICIPLES or (first.endswith("ed") and first not in VERBS)
    return participle or words[-1] == "of"


def count_lines(function: ast.FunctionDef) -> int:
    """Count the lines of a function's body, its docstring aside."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def is_declaration(function: ast.FunctionDef) -> bool:
    """Tell whether a function only says how it is called: a member of a protocol, an overload."""
    last = function.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is ...


def list_parameters(function: ast.FunctionDef) -> list[ast.arg]:
    """List a function's parameters, what it is a method of aside."""
    given = function.args
    rest = [each for each in (given.vararg, given.kwarg) if each]
    found = [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]
    return [each for each in found if each.arg not in ("self", "cls")]


def is_of_click(function: ast.FunctionDef) -> bool:
    """Tell whether click calls a function with all that a command line says."""
    return bool(collect_decorators(function) & {"command", "group", "option", "argument"})


def is_component(file: str, function: ast.FunctionDef) -> bool:
    """Tell whether a function is a component or a pipeline, whose parameters are what Kubeflow's form asks for."""
    return "pipeline" in collect_decorators(function) or (
        file.startswith("components/") and not function.name.startswith("_")
    )


def find_inputs(function: ast.FunctionDef) -> list[str]:
    """Name a component's or a pipeline's parameters that are no outputs."""
    return [each.arg for each in list_parameters(function) if "Output" not in ast.unparse(each.annotation)]


def measure(trees: dict[str, ast.Module]) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Take all figures, and list what each of them comes from."""
    graph = draw_graph(trees)
    functions = list(list_functions(trees))
    found = {
        "loose modules in common/": [file for file in trees if room(file) == file and file.startswith("common/")],
        "circles of files": [" - ".join(circle) for circle in find_circles(graph)],
        "circles of packages": [" - ".join(circle) for circle in find_circles(fold_graph(graph))],
        "names of two classes": list_doubles(trees),
        "modules that hash by themselves": list_hashing(trees),
        "renames outside storage": list_renames(trees),
    }
    found["loose modules in common/"].remove("common/__init__.py")
    figures: dict[str, float] = {name: len(listed) for name, listed in found.items()}
    for journey, starts in JOURNEYS.items():
        start = next(file for file in starts if file in trees)
        found[f"closure of {journey}"] = sorted(file for file in reach(graph, start) if file.startswith("common/data/"))
        figures[f"closure of {journey}"] = len(found[f"closure of {journey}"])
    shares = {
        "functions named by participles or *_of, %": is_misnamed,
        "functions of 3 lines or fewer, %": lambda function: (
            not is_declaration(function) and count_lines(function) <= 3
        ),
    }
    for name, held in shares.items():
        found[name] = [f"{file}:{function.lineno} {function.name}" for file, function in functions if held(function)]
        figures[name] = round(100 * len(found[name]) / len(functions), 1)
    for name, sizes in list_sizes(trees, functions).items():
        figures[name] = max(sizes.values())
        found[name] = [f"{each} {size}" for each, size in sizes.items() if size > BOUNDS[name].target]
    return figures, found


def list_sizes(trees: dict[str, ast.Module], functions: list[tuple[str, ast.FunctionDef]]) -> dict[str, Counter[str]]:
    """Count files by folder, and parameters by function."""
    folders = Counter(file.rpartition("/")[0] for file in trees)
    components, others = Counter(), Counter()
    for file, function in functions:
        name = f"{file}:{function.lineno} {function.name}"
        if is_component(file, function):
            components[name] = len(find_inputs(function))
        elif not is_of_click(function):
            others[name] = len(list_parameters(function))
    return {
        "files in one folder": Counter({k: v for k, v in folders.items() if k not in MANY_FILES}),
        "inputs of a component or pipeline": components,
        "parameters of a function": others,
    }


def list_doubles(trees: dict[str, ast.Module]) -> list[str]:
    """Name the classes that share their name, and where they are."""
    places: dict[str, list[str]] = {}
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(file)
    return [f"{name}: {', '.join(files)}" for name, files in sorted(places.items()) if len(files) > 1]


def list_hashing(trees: dict[str, ast.Module]) -> list[str]:
    """List the modules outside storage that import ``hashlib``, where ``storage/digests.py`` may do."""
    return [
        file
        for file, tree in trees.items()
        if not file.startswith(STORAGE) and any(name.split(".")[0] == "hashlib" for name in list_imports(tree))
    ]


def list_renames(trees: dict[str, ast.Module]) -> list[str]:
    """List the calls outside storage that rename a path, where ``storage/files.py`` may write it whole."""
    return [
        f"{file}:{node.lineno}"
        for file, tree in trees.items()
        if not file.startswith(STORAGE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_rename(node)
    ]


def is_rename(call: ast.Call) -> bool:
    """Tell ``os.replace(a, b)`` and ``a.replace(b)`` from what replaces parts of texts, dates or dataclasses."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os" | "shutil"), attr="replace" | "rename" | "move")):
            return True
        case ast.Call(func=ast.Attribute(attr="replace" | "rename"), args=[target], keywords=[]):
            return not isinstance(target, ast.Starred)
    return False


def main(folder: Path, listing: bool) -> int:
    """Print the figures beside their bounds; list what breaks one, or all that is counted."""
    figures, found = measure(read_modules(folder))
    print(f"{'':<44}{'before':>8}{'now':>8}{'bound':>8}{'target':>8}")
    wrong = []
    for name, bound in BOUNDS.items():
        print(f"{name:<44}{bound.before:>8g}{figures[name]:>8g}{bound.most:>8g}{bound.target:>8g}")
        if figures[name] > bound.most:
            wrong.append(name)
        if listing or name in wrong:
            print(*(f"    {each}" for each in found[name]), sep="\n")
    for name in wrong:
        print(f"{name}: {figures[name]:g}, more than {BOUNDS[name].most:g}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    named = [each for each in sys.argv[1:] if not each.startswith("-")]
    sys.exit(main(Path(named[0]) if named else Path(__file__).parents[2], "--list" in sys.argv))
