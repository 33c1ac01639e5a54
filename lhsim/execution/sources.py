"""The code of a user's own class, as a digest: who changes the code gets new results.

It takes in the file of the class and, where that is part of a package, all Python files of the
package; then all modules and packages beside it that these import, and so on. What is installed
elsewhere and what the code reads when it runs is not known here; ``--fresh`` runs everything again.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lhsim._own import path_of
from lhsim.errors import InputError

INSTALLED = {"site-packages", "dist-packages"}  # beside a package there are those of others


@functools.cache  # what is imported stays as it is, whatever becomes of the file
def digest_of(cls: type[Any]) -> str:
    """Return a digest of the code on which a class depends.

    Raises `InputError` when the class is in no file, as one that is defined in a notebook.
    """
    digest = hashlib.sha256()
    for path in files_of(cls):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def files_of(cls: type[Any]) -> list[Path]:
    """Return the files whose code a class depends on, in order."""
    file = _file_of(cls)
    depth = cls.__module__.count(".") + (file.name == "__init__.py")
    folder = file.parents[depth]
    first = cls.__module__.partition(".")[0]
    parts: dict[str, list[Path]] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        parts[name] = _files(folder, name)
        if folder.name not in INSTALLED:
            new = {other for path in parts[name] for other in _imported(path)}
            waiting += [other for other in new - {*parts, "lhsim"} if _files(folder, other)]
    return [path for name in sorted(parts) for path in parts[name]]


def _file_of(cls: type[Any]) -> Path:
    try:
        file = None if cls.__module__ == "__main__" else inspect.getsourcefile(cls)
    except (OSError, TypeError):
        file = None
    if file is None or not Path(file).is_file():
        problem = f"the code of {path_of(cls)} is in no file, so that no result can be kept for it"
        raise InputError(problem, allowed="a class in a module, or a run that keeps nothing")
    return Path(file).resolve()


def _files(folder: Path, name: str) -> list[Path]:
    """Return the Python files of a module or a package in a folder; none where there is none."""
    module = folder / f"{name}.py"
    return [module] if module.is_file() else sorted((folder / name).rglob("*.py"))


def _imported(path: Path) -> Iterator[str]:
    """Yield the first part of the name of each module that a file imports from elsewhere."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
