"""Costs from samples of single stages: a table ``component, seconds`` of any server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from lhsim._files import Named
from lhsim.distributions import Distribution, Fit, fit
from lhsim.errors import InputError, unknown_name
from lhsim.models import Calibration, CalibrationWarning, Cpu, Provenance, System
from lhsim.readers.tables import read_table

COLUMNS = ("component", "seconds")
NO_LOAD = (0.0, 0.0)  # range of a system that was compared with no run
OF_THE_PROCESSOR = tuple(
    field.name for field in attrs.fields(attrs.resolve_types(Cpu)) if field.type is Distribution
)
ELSEWHERE = ("store.query", "store.write", "network.up", "network.down")
COMPONENTS = (*OF_THE_PROCESSOR, *ELSEWHERE)


def read_components(path: Named) -> dict[str, Fit]:
    """Return a distribution fitted to the samples of each component of a CSV or Parquet file.

    Raises
    ------
    InputError
        When the file is no such table, a component is unknown, or its samples cannot be used.
    """
    table = read_table(path, COLUMNS)
    seconds = table.durations("seconds")
    table.refuse_rows(np.isnan(seconds), "is empty", "seconds", "a duration in each row")
    table.refuse_rows(seconds < 0, "is negative", "seconds", "durations >= 0")
    names, index = table.names("component")
    found = {}
    for name in sorted(names):
        if name not in COMPONENTS:
            raise unknown_name("component", name, COMPONENTS, source=str(path))
        found[name] = _fitted(seconds[index == names.index(name)], path, name)
    if not found:
        raise InputError("has no rows", source=str(path), allowed="20 or more of a component")
    return found


def _fitted(samples: NDArray[np.float64], path: Named, name: str) -> Fit:
    try:
        return fit(samples)
    except InputError as error:
        raise InputError(error.problem, source=str(path), key=name, allowed=error.allowed) from None


def with_components(system: System, found: Mapping[str, Fit]) -> System:
    """Return the system with these costs, each of which says where it comes from."""
    tables: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        owner, _, field = path_of(name).partition(".")
        tables.setdefault(owner, {})[field] = one.distribution
    changes = {owner: evolve(getattr(system, owner), **new) for owner, new in tables.items()}
    calibration = system.calibration or Calibration()
    parameters = {**calibration.parameters, **provenance(found)}
    # What samples there were are factors of the costs that were there.
    calibration = evolve(calibration, parameters=parameters, samples={})
    if found:
        calibration = evolve(calibration, agents=NO_LOAD, messages_per_second=NO_LOAD,
                             warnings=(_warning(system, found),))  # fmt: skip
    return evolve(system, **changes, calibration=calibration)


def _warning(system: System, found: Mapping[str, Fit]) -> CalibrationWarning:
    text = (
        f"Measured were {', '.join(map(path_of, found))} alone: all else is that of {system.name}, "
        "and no load was compared."
    )
    return CalibrationWarning("parameters", text)


def provenance(found: Mapping[str, Fit]) -> dict[str, Provenance]:
    """Return where the costs come from, by the paths of the parameters."""
    return {
        path_of(name): Provenance(
            "samples of the component", one.n, f"{one.family}; KS {one.ks:.3f} on a third held out"
        )
        for name, one in found.items()
    }


def path_of(component: str) -> str:
    """Return the path of the parameter of a component."""
    return component if component in ELSEWHERE else f"cpu.{component}"


def to_dicts(found: Mapping[str, Fit]) -> list[dict[str, Any]]:
    """Return a row for each component: what was fitted to it, and how well."""
    return [
        {
            "component": name,
            "samples": one.n,
            "mean_s": one.distribution.mean,
            "sample_mean_s": float(one.samples.mean()),
            "family": one.family,
            "ks": one.ks,
        }
        for name, one in found.items()
    ]
