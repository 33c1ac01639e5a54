"""The systems that come with lhsim, and the files of others."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from lhsim import _resources, parameters
from lhsim.errors import InputError, shown
from lhsim.models import System
from lhsim.parameters import Settings


def systems() -> list[str]:
    """Return the names of the systems that come with lhsim."""
    return _resources.names("models")


def load_system(name_or_path: str | PathLike[str], settings: Settings = ()) -> System:
    """Return a system by its name or from a model file.

    Parameters
    ----------
    name_or_path
        A name of `systems`, or the path of a TOML file.
    settings
        Changes of parameters, each key once: a text ``"polling.interval=50ms"``, several of them,
        or a mapping ``{"polling.interval": "50ms"}``. A text says the unit of a quantity; a number
        of a mapping is in the base unit: seconds, bytes, or 1/s.

    Raises
    ------
    InputError
        When there is no such system, or the file or a setting is no valid one.
    """
    once = parameters.each_once(settings, source="settings")
    return configured(name_or_path, once, source="settings")


def configured(name_or_path: object, settings: Settings, *, source: str) -> System:
    """Return a system with settings, of which a later one of a key holds.

    Parameters
    ----------
    name_or_path
        As in `load_system`.
    settings
        Those of an experiment's file, for example, and those of the command line after them.
    source
        What a refusal of a setting names as its place.
    """
    path = _find(name_or_path)
    data = parameters.read_toml(path)
    system = parameters.structure(data, System, source=path.name)
    if not settings:
        return system
    changed = parameters.apply_settings(data, settings, source=source, described=system)
    try:
        return parameters.structure(changed, System, source=path.name)
    except InputError as error:  # the file alone is in order
        raise InputError(
            error.problem, source=source, key=error.key, allowed=error.allowed
        ) from error.__cause__


def as_system(given: object) -> System:
    """Return a system that is one, or is given by its name or its file.

    Raises
    ------
    InputError
        When it is none of them.
    """
    if not isinstance(given, System):
        return configured(given, (), source="settings")
    parameters.check_types(given, source="system")
    return given


def _find(given: object) -> Path:
    if not isinstance(given, str | PathLike):
        allowed = f"a System, the path of a model file, or one of {', '.join(systems())}"
        raise InputError(f"{shown(given)} is no system", key="system", allowed=allowed)
    return _resources.find("models", given)
