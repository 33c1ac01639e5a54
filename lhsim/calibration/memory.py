"""The memory of a server: what it takes without agents, and more for each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from scipy.optimize import nnls

from lhsim.calibration.levels import Level
from lhsim.models import Memory, Provenance

MB = 1e6  # [B]
COLUMN = "memory_mb"  # of a recording's counters


@frozen
class FittedMemory:
    """The memory that runs show."""

    memory: Memory
    runs: int
    miss: float  # of the run that is missed most, as a part of its memory

    @property
    def provenance(self) -> Provenance:
        """Where the parameters come from."""
        fit = f"a straight line over the agents, missed by at most {self.miss:.0%}"
        return Provenance("peaks of the runs' resident memory", self.runs, fit)

    def to_dict(self) -> dict[str, float]:
        """Return it as plain data [B]."""
        memory = self.memory
        each = memory.per_agent + memory.per_connection
        return {"baseline": memory.baseline, "of_an_agent": each, "miss": self.miss}


def fitted_memory(template: Memory, some: Sequence[Level]) -> FittedMemory | None:
    """Return the memory of a server; None where it was not read, or at one number of agents.

    Peaks of the resident memory lie on a straight line over the agents. An agent has one connection
    in all runs of an architecture, so that the template says how much of that is the connection's.
    """
    runs = [run for level in some for run in level.runs if COLUMN in run.counters]
    agents = np.array([run.manifest.agents for run in runs], float)
    peaks = np.array([MB * run.counters[COLUMN].max() for run in runs], float)
    if len(set(agents)) < 2 or not np.isfinite(peaks).all():
        return None
    of_events = template.per_event * np.array([len(run.messages) for run in runs])
    columns = np.column_stack([np.ones(len(runs)), agents])
    # Relative, so that the smallest server counts as much as the largest.
    (baseline, each), _ = nnls(columns / peaks[:, None], (peaks - of_events) / peaks)
    whole = template.per_agent + template.per_connection
    part = template.per_connection / whole if whole else 0.0
    memory = evolve(
        template,
        baseline=float(baseline),
        per_agent=float(each * (1 - part)),
        per_connection=float(each * part),
    )
    misses = np.abs((columns @ [baseline, each] + of_events) / peaks - 1)
    return FittedMemory(memory, len(runs), float(misses.max()))
