"""The systems that come with lhsim, and the files of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lhsim import _resources, parameters
from lhsim.models.system import System


def systems() -> list[str]:
    """Return the names of the systems that come with lhsim."""
    return _resources.names("models")


def load_system(name_or_path: str | Path, settings: Sequence[str] = ()) -> System:
    """Return a system by its name or from a model file.

    Parameters
    ----------
    name_or_path
        A name of `systems`, or the path of a TOML file.
    settings
        Changes of single parameters, such as ``"polling.interval=50ms"``.

    Raises
    ------
    InputError
        When there is no such system, or the file or a setting is no valid one.
    """
    path = _resources.find("models", name_or_path)
    data = parameters.read_toml(path)
    if settings:
        data = parameters.apply_settings(data, settings)
    return parameters.structure(data, System, source=path.name)
