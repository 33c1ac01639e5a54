"""A kernel on disk is as new as all that it is made of."""

import ast
from pathlib import Path

import lhsim
from lhsim.compiled.kernel import PARTS

ROOT = Path(lhsim.__file__).parent
# They describe a system or say what is wrong with it: nothing of them gets into a kernel.
NOT_COMPILED = {
    "_machine", "distributions", "errors", "models", "models/classes", "models/faults",
    "models/nodes", "models/push", "models/step", "models/steps", "models/workload",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, as paths without ending."""
    names = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lhsim.")
    }
    return {name.removeprefix("lhsim.").replace(".", "/") for name in names}


def test_all_that_is_compiled_is_watched():
    watched = {path for part in PARTS for path in ROOT.glob(part)}
    names = {str(path.relative_to(ROOT).with_suffix("")) for path in watched} | {"compiled"}
    assert len(watched) > len(PARTS)
    needed = set().union(*(imported(path) for path in watched))
    assert needed - NOT_COMPILED <= names
