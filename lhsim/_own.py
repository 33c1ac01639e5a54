"""Finds a user's own class: by its import path, or as an entry point of an installed package.

A family of variants that users may extend has a text `entry_points`, the group in which packages
announce members of it by name::

    [project.entry-points."lhsim.servers"]
    blackboard = "mypackage.servers:Blackboard"

A model file then names either: ``"blackboard"``, or ``"mypackage.servers:Blackboard"`` without
any announcement. To import a module is to run it: a model file that names one is as trustworthy
as that module.
"""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module, invalidate_caches
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import attrs

from lhsim.errors import InputError, unknown_name

MARK = ":"  # between the module and the class
FORM = "package.module:Class"


def is_path(name: str) -> bool:
    """Return whether a name is an import path."""
    return MARK in name


def announced(base: type[Any]) -> dict[str, str]:
    """Return the import paths of what installed packages announce for a family, by name."""
    return {one.name: one.value for one in entry_points(group=base.entry_points)}


def load(path: str, base: type[Any]) -> type[Any]:
    """Return the class at an import path, a member of the family of `base`.

    A module that is not installed is looked for in the working directory, too, which then stays
    among the places where modules are looked for, after all others.

    Raises
    ------
    InputError
        When there is no such module or class, when the module cannot be imported, or when the
        class is no complete attrs class of that family.
    """
    module_name, _, name = path.partition(MARK)
    if not (name.isidentifier() and all(part.isidentifier() for part in module_name.split("."))):
        raise InputError(f"{path!r} is no import path", allowed=FORM)
    module = _module(module_name)
    if not hasattr(module, name):
        known = [
            f"{module_name}:{key}" for key, one in vars(module).items() if _is_member(one, base)
        ]
        raise unknown_name(base.__name__.lower(), path, known or [FORM])
    found = getattr(module, name)
    if not _is_member(found, base):
        allowed = f"an attrs class derived from {base.__module__}.{base.__qualname__}"
        raise InputError(f"{path} is no {base.__name__.lower()}", allowed=allowed)
    named = "name" in base.__annotations__  # each of the family has one
    missing = ["name"] if named and not hasattr(found, "name") else []
    missing += sorted(found.__abstractmethods__)
    if missing:
        allowed = f"a class that defines {', '.join(missing)}"
        raise InputError(f"{path} is not complete", allowed=allowed)
    return found  # type: ignore[no-any-return]


def path_of(cls: type[Any]) -> str:
    """Return the import path of a class."""
    return f"{cls.__module__}{MARK}{cls.__qualname__}"


def is_own(cls: type[Any]) -> bool:
    """Return whether a class is a user's, and not one of lhsim."""
    return cls.__module__.partition(".")[0] != "lhsim"


def _module(name: str) -> ModuleType:
    try:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, name) or os.getcwd() in sys.path:
                raise
            sys.path.append(os.getcwd())
            invalidate_caches()
            return import_module(name)
    except ModuleNotFoundError as error:
        if not _is_part(error.name, name):
            problem = f"{name} cannot be imported: {error}"
            raise InputError(problem, allowed="a module that can be imported") from error
        allowed = "a module that is installed, or in the working directory"
        raise InputError(f"there is no module {error.name}", allowed=allowed) from None
    except Exception as error:  # whatever the user's module does when it is imported
        problem = f"{name} cannot be imported: {type(error).__name__}: {error}"
        raise InputError(problem, allowed="a module that can be imported") from error


def _is_part(missing: str | None, name: str) -> bool:
    """Return whether the module that is missing is the one that was asked for, or holds it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _is_member(found: Any, base: type[Any]) -> bool:
    return inspect.isclass(found) and issubclass(found, base) and attrs.has(found)
