"""Request logs as recordings, so that a cross-check replays closed loops as closed loops."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from lhsim.calibration.closed_loops import Loop, closed_loop, lead_of, think_time, workload
from lhsim.calibration.run_sheet import Run
from lhsim.recording import MESSAGE_COLUMNS, REQUESTS, Manifest, Recording


def request_recordings(runs: Iterable[Run]) -> list[Recording]:
    """Return runs as recordings, each with a seed of its own.

    Raises
    ------
    InputError
        As `lhsim.calibration.closed_loops.closed_loop` does.
    """
    return [_recording(closed_loop(run), seed) for seed, run in enumerate(runs, start=1)]


def _recording(loop: Loop, seed: int) -> Recording:
    """Return a run with what it says of its clients: how many there are, and how they think."""
    log, lead = loop.run.log, lead_of(loop)
    low, high = (end + lead for end in loop.window)
    manifest = Manifest(
        architecture=REQUESTS,
        agents=loop.clients,
        workload=workload(loop, think_time([loop])),
        seed=seed,
        warmup=low,
        duration=loop.seconds,
        drain=max(log.span + lead - high, 2 * float(loop.responses.max())),
    )
    messages = pd.DataFrame(
        {
            "sender": log.client,
            "number": np.arange(len(log)),
            "target": log.client,
            "intended_s": log.start + lead,
            "sent_s": log.start + lead,
            "acknowledged_s": math.nan,
            "delivered_s": log.end + lead,
        }
    )
    return Recording(manifest, messages[list(MESSAGE_COLUMNS)], _counters(loop, low, high))


def _counters(loop: Loop, low: float, high: float) -> pd.DataFrame:
    """Return the processor time of the window, where it is known: that of its answers."""
    if loop.demand is None:
        return pd.DataFrame({"time_s": []})
    used = loop.demand * loop.throughput * loop.seconds
    return pd.DataFrame({"time_s": [low, high], "cpu_s": [0.0, used]})
