"""Finds the data that comes with lhsim: the models and the experiments, as TOML files.

In an installed wheel they stand in ``lhsim/_data/models`` and ``lhsim/_data/experiments``; in a
checkout (or an editable install of one) in the folders ``models`` and ``experiments`` beside the
package. A name such as ``"polling"`` always means a file that comes with lhsim, and is never
looked for in the working directory: a file there has to be named as a path, ``"./polling.toml"``.
So nothing shadows anything else, and a command means the same in every directory.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Literal

from lhsim._files import existing
from lhsim.errors import unknown_name

Kind = Literal["models", "experiments"]

_NOUN = {"models": "system", "experiments": "experiment"}
_PACKAGE = Path(__file__).parent


def names(kind: Kind) -> list[str]:
    """Return the names of the models or experiments that come with lhsim, sorted."""
    return sorted(path.stem for path in _folder(kind).glob("*.toml"))


def find(kind: Kind, name_or_path: str | PathLike[str]) -> Path:
    """Return the file of a model or an experiment.

    Parameters
    ----------
    kind
        What it is.
    name_or_path
        The name of one that comes with lhsim, or a path: a `pathlib.Path`, or a text that has a
        path separator or ends in ``.toml``.

    Raises
    ------
    InputError
        When there is no such name, or no such file that can be read.
    """
    if not _is_path(name_or_path):
        known = names(kind)
        if name_or_path not in known:
            raise unknown_name(_NOUN[kind], str(name_or_path), known)
        return _folder(kind) / f"{name_or_path}.toml"
    return existing(name_or_path)


def _is_path(name_or_path: str | PathLike[str]) -> bool:
    if not isinstance(name_or_path, str):
        return True
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return name_or_path.endswith(".toml") or any(mark in name_or_path for mark in separators)


def _folder(kind: Kind) -> Path:
    packaged = _PACKAGE / "_data" / kind
    checkout = _PACKAGE.parent
    if not packaged.is_dir() and (checkout / "pyproject.toml").is_file():
        return checkout / kind
    return packaged
