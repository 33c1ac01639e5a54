"""Whether wrong models are rejected on the recordings of ``lhsim validate``.

::

    lhsim validate --full
    python benchmarks/negative_controls.py results/validate/full

Each model is held against the runs that it predicted: as it is, without warmth, with the costs of
reading and writing the store times 1.5, and with all costs of the processor times 1.5.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import evolve, fields

import lhsim
from lhsim.crosscheck import crosscheck
from lhsim.distributions import Distribution
from lhsim.distributions.compounds import scaled
from lhsim.models import System
from lhsim.recording import MANIFEST, Recording

FACTOR = 1.5


def variants(system: System) -> Iterator[tuple[str, System]]:
    """Yield a model as it is, and wrong in some ways."""
    yield "as it is", system
    assert system.calibration is not None
    samples = system.calibration.samples or {}
    others = {key: one for key, one in samples.items() if not key.startswith("cpu.warmth")}
    calibration = evolve(system.calibration, samples=others)
    yield "no warmth", evolve(system, cpu=evolve(system.cpu, warmth=None), calibration=calibration)
    dearer_store = evolve(
        system.store,
        query=scaled(system.store.query, FACTOR),
        write=scaled(system.store.write, FACTOR),
    )
    yield f"store x{FACTOR:g}", evolve(dearer(system, {"query", "write"}), store=dearer_store)
    yield f"processor x{FACTOR:g}", dearer(system, {one.name for one in fields(type(system.cpu))})


def dearer(system: System, costs: set[str]) -> System:
    """Return a system in which these costs of the processor are higher."""
    known = {name: getattr(system.cpu, name) for name in costs}
    changed: dict[str, Any] = {
        name: scaled(cost, FACTOR) for name, cost in known.items() if isinstance(cost, Distribution)
    }
    return evolve(system, cpu=evolve(system.cpu, **changed))


def main() -> None:
    folder = Path(sys.argv[1])
    for file in sorted(folder.glob("*.toml")):
        runs = [
            Recording.read(path.parent)
            for path in sorted((folder / file.stem).glob(f"predicted-*/{MANIFEST}"))
        ]
        with ThreadPoolExecutor() as executor:
            for name, system in variants(lhsim.load_system(str(file))):
                found = crosscheck(system, runs, seed=1, executor=executor)
                print(f"{file.stem:10s}{name:16s}{found.verdict}", flush=True)


if __name__ == "__main__":
    main()
