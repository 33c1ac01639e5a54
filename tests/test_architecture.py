"""Who may import whom, checked from the imports of every module under lhsim/.

A unit is a module or a package directly under lhsim/. It may import from the floors below its
own, never from a neighbour; some are held to less. An import for the type checker alone counts
like any other. A package's front door imports what its stub (`__init__.pyi`) says, and a name that
is imported from there counts as an import of its own module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lhsim

FLOORS = (
    {
        "errors",
        "units",
        "checks",
        "_jit",
        "_linking",
        "_machine",
        "_own",
        "_files",
        "streams",
        "_resources",
    },
    {"distributions"},
    {"parameters", "readers"},
    {"rules", "analysis"},
    {"metrics"},
    {"models", "theory", "report"},
    {"compiled", "library", "recording"},  # know the systems: as kernels, by name, as workloads
    {"simulation"},
    {"execution"},
    {"planning", "replay"},
    {"calibration", "explanation", "explore", "live"},
    {"crosscheck"},
    {"validation"},
    {"experiments", "testing"},
    {"cli"},
)
# What a module that is run belongs to.
PROGRAMS = {"lhsim.__main__": "cli", "lhsim.experiments.__main__": "cli"}
# The descriptions of systems: a process is no business of the other engine.
PARTS_OF_SYSTEMS = (
    "classes", "cpu", "faults", "nodes", "polling", "push", "step", "steps", "store", "system",
    "workload",
)  # fmt: skip
DESCRIPTIONS = {f"lhsim.models.{name}" for name in PARTS_OF_SYSTEMS}
WORKLOADS = {"lhsim.models.schedule", "lhsim.models.workload"}
AGENTS = WORKLOADS | {"lhsim.models.push", "lhsim.models.reactions"}  # what they do
PARTS_OF_MODELS = {"compiled": DESCRIPTIONS, "live": AGENTS | {"lhsim.models.faults"}}
ARRAYS_ONLY = {"errors", "units", "checks", "_jit"}
HELD_TO_LESS = {
    "theory": {"errors", "checks"},  # an oracle shares nothing with what it is held against
    "analysis": ARRAYS_ONLY,
    "metrics": ARRAYS_ONLY | {"analysis"},
    "report": ARRAYS_ONLY | {"analysis"},
    # It knows no simulation, but what agents do, what a machine does, and how a run is kept.
    "live": FLOORS[0] | {"distributions", "parameters", "metrics", "models", "recording"},
}
UNITS = set[str]().union(*FLOORS)


def allowed(unit: str) -> set[str]:
    """Return the units that a unit may import."""
    if unit in HELD_TO_LESS:
        return HELD_TO_LESS[unit]
    level = next(index for index, floor in enumerate(FLOORS) if unit in floor)
    # On the ground floor they may use one another; the check for cycles keeps them in order.
    return set[str]().union(*FLOORS[: max(level, 1)])


def modules(root: Path) -> dict[str, Path]:
    """Return the files of the package in the folder `root`, by the names of the modules."""
    files = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def imports(module: str, files: dict[str, Path]) -> Iterator[str]:
    """Yield each module of the package that `module` imports."""
    for path in (files[module], _stub(files[module])):
        for name in _names(module, path):
            target = _module(name, files)
            if target in files:
                yield _home(name, target, files)


def _module(name: str, files: dict[str, Path]) -> str:
    """Return what "from lhsim.x import y" means: the module lhsim.x.y, or lhsim.x with a name."""
    return name if name in files else name.rpartition(".")[0]


def _stub(path: Path) -> Path:
    return path.with_suffix(".pyi")


def _home(name: str, target: str, files: dict[str, Path]) -> str:
    """Return the module in which a name is defined that the front door `target` may hand out."""
    if name != target:
        for home in _names(target, _stub(files[target])):
            if home.rpartition(".")[2] == name.rpartition(".")[2] and home not in files:
                return home.rpartition(".")[0]
    return target


def _names(module: str, path: Path) -> list[str]:
    """Return the dotted names that the file of a module, if there is one, imports."""
    if not path.exists():
        return []
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [name for node in nodes for name in _imported(node, package)]


def _imported(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    parts = package.split(".")
    base = parts[: len(parts) + 1 - node.level] if node.level else []
    return [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]


def unit(module: str) -> str:
    return PROGRAMS.get(module) or (module.split(".")[1] if "." in module else "")


def violations(root: Path) -> list[str]:
    """Return a line for each import and each unit that breaks the rules."""
    files = modules(root)
    strangers = {unit(module) for module in files} - UNITS - {""}
    found = [f"{name} is in no floor" for name in sorted(strangers)]
    graph = {module: set(imports(module, files)) for module in files}
    for module, targets in graph.items():
        if unit(module) in strangers | {""}:  # lhsim/__init__.py gathers the public names
            continue
        found += [
            f"{module} imports {target}"
            for target in sorted(targets)
            if unit(target) != unit(module) and unit(target) not in allowed(unit(module))
        ]
    found += [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in sorted(targets)
        if unit(target) == "models" and target not in PARTS_OF_MODELS.get(unit(module), {target})
    ]
    found += [
        f"{module} imports click"
        for module in files
        if unit(module) != "cli" and "click" in _packages(files[module])
    ]
    return found + _cycle(graph)


def _packages(path: Path) -> set[str]:
    """Return the packages that a module imports from anywhere, by their first names."""
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["cycle: " + " <- ".join(error.args[1])]
    return []


def longest_chain(root: Path) -> list[str]:
    """Return the longest chain of modules that import one another, the last one importing nothing.

    A lazy front door imports nothing until a name of it is used, and ends a chain.
    """
    files = modules(root)
    graph = {
        module: {_module(name, files) for name in _names(module, path)} & files.keys() - {module}
        for module, path in files.items()
    }
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        inner = max((chains[target] for target in graph[module]), key=len, default=[])
        chains[module] = [module, *inner]
    return max(chains.values(), key=len)


def test_no_chain_of_imports_is_longer_than_20() -> None:
    assert len(longest_chain(Path(lhsim.__file__).parent)) <= 20


def test_every_import_keeps_the_rules() -> None:
    root = Path(lhsim.__file__).parent
    assert len(modules(root)) > 10
    assert violations(root) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"models/cpu.py": "from lhsim.rules import draw", "rules.py": ""}, []),
        (
            {"models/cpu.py": "from lhsim import theory", "theory.py": ""},
            ["lhsim.models.cpu imports lhsim.theory"],
        ),
        (
            {
                "compiled/engine.py": "from lhsim.models.station import Station",
                "models/station.py": "",
            },
            ["lhsim.compiled.engine imports lhsim.models.station"],
        ),
        (
            {"models/cpu.py": "import lhsim.compiled.polling", "compiled/polling.py": ""},
            ["lhsim.models.cpu imports lhsim.compiled.polling"],
        ),
        (
            {"distributions/base.py": "from ..parameters import load", "parameters.py": ""},
            ["lhsim.distributions.base imports lhsim.parameters"],
        ),
        (
            {
                "models/__init__.py": "from .cpu import serve\nfrom .. import execution",
                "models/cpu.py": "",
                "execution/__init__.py": "",
            },
            ["lhsim.models imports lhsim.execution"],
        ),
        (
            {
                "metrics/a.py": "def f():\n    from lhsim.simulation import Result",
                "simulation.py": "",
            },
            ["lhsim.metrics.a imports lhsim.simulation"],
        ),
        (
            {
                "live/a.py": "if TYPE_CHECKING:\n    from lhsim.simulation import Result",
                "simulation.py": "",
            },
            ["lhsim.live.a imports lhsim.simulation"],
        ),
        ({"rules.py": "from lhsim import simulate"}, ["lhsim.rules imports lhsim"]),
        ({"helpers.py": ""}, ["helpers is in no floor"]),
        ({"cli/a.py": "import click\nfrom lhsim import experiments", "experiments.py": ""}, []),
        ({"experiments/a.py": "from click import echo"}, ["lhsim.experiments.a imports click"]),
        (
            {"experiments/a.py": "from lhsim.cli import b", "cli/b.py": ""},
            ["lhsim.experiments.a imports lhsim.cli.b"],
        ),
        (
            {"models/a.py": "from . import b", "models/b.py": "from lhsim.models.a import x"},
            ["cycle: lhsim.models.a <- lhsim.models.b <- lhsim.models.a"],
        ),
        (
            {
                "models/a.py": "if typing.TYPE_CHECKING:\n    from . import b",
                "models/b.py": "from lhsim.models.a import x",
            },
            ["cycle: lhsim.models.a <- lhsim.models.b <- lhsim.models.a"],
        ),
        (
            {
                "models/__init__.pyi": "from .a import x",
                "models/a.py": "",
                "models/b.py": "from lhsim.models import x",
            },
            [],
        ),
        (
            {
                "models/__init__.pyi": "from .a import x",
                "models/a.py": "",
                "compiled/b.py": "from lhsim.models import x",
            },
            ["lhsim.compiled.b imports lhsim.models.a"],
        ),
        (
            {
                "models/__init__.pyi": "from .a import x",
                "models/a.py": "from lhsim import models",
            },
            ["cycle: lhsim.models <- lhsim.models.a <- lhsim.models"],
        ),
        ({"errors.py": "import lhsim.units", "units.py": ""}, []),
    ],
)
def test_the_check_finds_what_is_wrong(
    tmp_path: Path, files: dict[str, str], expected: list[str]
) -> None:
    always = {"__init__.py": "import lhsim.errors", "errors.py": "", "models/__init__.py": ""}
    for name, content in (always | files).items():
        path = tmp_path / "lhsim" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert violations(tmp_path / "lhsim") == expected


def test_the_longest_chain_is_found(tmp_path: Path) -> None:
    package = tmp_path / "lhsim"
    package.mkdir()
    for name, text in {
        "__init__": "", "a": "from lhsim.b import f", "b": "import lhsim.c", "c": "", "d": ""
    }.items():  # fmt: skip
        (package / f"{name}.py").write_text(text)
    assert longest_chain(package) == ["lhsim.a", "lhsim.b", "lhsim.c"]
