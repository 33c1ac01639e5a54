"""The systems that a calibration leaves possible: its samples, and how runs of one load differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import attrs
import numpy as np
from scipy.special import ndtri

from lhsim.models import System, paths
from lhsim.models.workload import Traffic

T = TypeVar("T")
MOVES_SEED = 1
TRAFFIC = "workload.traffic"  # the path of it


def with_traffic(system: System, traffic: Traffic) -> System:
    """Return the system with other traffic.

    What its calibration found of the traffic that it had, such as think times, is left out.
    """
    workload = attrs.evolve(system.workload, traffic=traffic)
    if system.calibration is None:
        return attrs.evolve(system, workload=workload)
    known = system.calibration
    calibration = attrs.evolve(
        known, samples=_beside(known.samples), parameters=_beside(known.parameters)
    )
    return attrs.evolve(system, workload=workload, calibration=calibration)


def _beside(known: Mapping[str, T]) -> dict[str, T]:
    """Return what is known of anything but the traffic."""
    return {path: value for path, value in known.items() if not path.startswith(TRAFFIC)}


def samples_of(system: System) -> list[System]:
    """Return the system with each of its calibration's samples; none where it has none.

    Their calibration has no samples, which are those of the system: they would be checked anew with
    each parameter.
    """
    if system.calibration is None or not system.calibration.samples:
        return []
    columns = system.calibration.samples
    plain = attrs.evolve(system, calibration=attrs.evolve(system.calibration, samples={}))
    found = []
    for row in zip(*columns.values(), strict=True):
        sampled = plain
        for path, number in zip(columns, row, strict=True):
            sampled = paths.sampled(sampled, path, number)
        found.append(sampled)
    return found


def count_of(system: System) -> int:
    """Return how many samples its calibration has."""
    columns = system.calibration.samples if system.calibration else {}
    return len(next(iter(columns.values()), ()))


def in_runs(systems: Sequence[System]) -> list[System]:
    """Return each system as it is in a run of its own.

    The k-th of N moves like every k-th of N, so that systems can be compared in pairs. The moves
    are spread evenly over their distribution, so that a few of them have no mean of their own.
    """
    if not systems:
        return []
    generator = np.random.Generator(np.random.Philox(MOVES_SEED))
    even = ndtri((np.arange(len(systems)) + 0.5) / len(systems))
    cpu, ways = generator.permutation(even), generator.permutation(even)
    return [_moved(*each) for each in zip(systems, cpu.tolist(), ways.tolist(), strict=True)]


def _moved(system: System, cpu: float, ways: float) -> System:
    moves = system.calibration.moves if system.calibration is not None else {}
    if moves.get("cpu"):
        slower = system.cpu.slower(math.exp(moves["cpu"] * cpu))
        system = attrs.evolve(system, cpu=slower)
    if moves.get("network"):
        factor = math.exp(moves["network"] * ways)
        for path in ("network.up*", "network.down*"):
            system = paths.changed(system, path, factor)
    return system
