"""Writes the recordings beside this file, from which the notebook 03 calibrates.

::

    python notebooks/data/make.py

They are simulated, not measured: `lhsim.replay` plays the workload of a live run on a system that
differs from the one that comes with lhsim, and writes what `lhsim measure` would have written. Each
manifest says so. Whoever has a server measures it instead, and puts those folders in their place.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import lhsim
from lhsim.models import Poisson, Workload, paths
from lhsim.recording import Machine, Manifest
from lhsim.replay import replay

HERE = Path(__file__).parent
# What the "live" server has more, as factors of the parameters of `polling`.
TRUTH = {"cpu.write*": 1.3, "cpu.parse_message*": 1.2, "cpu.query*": 0.8, "network.up*": 3.0}
# Agents, messages of each per second, and the window [s].
TO_CALIBRATE = ((100, 1.0, 6.0), (300, 1.0, 6.0), (400, 0.2, 6.0))
TO_CHECK = ((200, 1.0, 6.0),)
SEEDS = (1, 2, 3)


def main() -> None:
    """Write all recordings anew."""
    system = lhsim.load_system("polling")
    for path, factor in TRUTH.items():
        system = paths.changed(system, path, factor)
    for kind, loads in {"calibrate": TO_CALIBRATE, "check": TO_CHECK}.items():
        shutil.rmtree(HERE / kind, ignore_errors=True)
        for agents, rate, duration in loads:
            for seed in SEEDS:
                folder = HERE / kind / f"{agents}-agents-{rate:g}-per-s-seed-{seed}"
                replay(system, _manifest(agents, rate, duration, seed)).write(folder)


def _manifest(agents: int, rate: float, duration: float, seed: int) -> Manifest:
    return Manifest(
        architecture="polling",
        agents=agents,
        workload=Workload(traffic=Poisson(rate)),
        seed=seed,
        warmup=1.0,
        duration=duration,
        drain=2.0,
        options={"source": "simulated by notebooks/data/make.py, not measured"},
        machine=Machine(host="none: simulated"),
    )


if __name__ == "__main__":
    main()
