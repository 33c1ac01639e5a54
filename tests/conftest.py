"""What all tests share, and which of the unit tests are slow."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.recording import Manifest, Recording

# The machine is shared, and the first call of a compiled function compiles it.
settings.register_profile("lhsim", deadline=None)
settings.load_profile("lhsim")
# Which engine runs first depends on what is compiled by then; tests, and what they start, want one.
os.environ.setdefault("LHSIM_COMPILE", "ahead")

# What `make check` leaves to `make test`: many runs, other processes, or many random cases.
SLOW = (
    "unit/calibration/",
    "unit/crosscheck/",
    "unit/distributions/test_table.py::test_random_compounds_keep_the_bounds",
    "unit/distributions/test_fitting.py::test_bootstrap_covers_the_truth",
    "unit/execution/test_cluster.py",
    "unit/execution/test_killed.py",
    "unit/experiments/test_claims.py",
    "unit/experiments/test_optimisations.py",
    "unit/experiments/test_suites.py",
    "unit/planning/test_capacity.py",
    "unit/planning/test_fleets.py",
    "unit/test_documentation.py::test_the_site",
    "unit/test_kernel_cache.py",
    "unit/validation/",
)


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let one worker of xdist compile a kernel; the others wait, and find it in the cache."""
    if "PYTEST_XDIST_WORKER" not in os.environ or sys.platform == "win32":
        yield
        return
    import fcntl

    from lhsim.compiled import kernel

    load, locks = kernel.load, tmp_path_factory.getbasetemp().parent

    def load_alone(run: Any, memory: Any) -> None:
        if run.signatures:
            return
        with (locks / f"{run.__name__}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            load(run, memory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "load", load_alone)
        yield


@pytest.fixture
def blank_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save blank pictures: to render two plots costs as much as the runs of a small experiment.

    The plots are drawn all the same. A test marked `rendered` looks at their files, and gets them.
    """
    from matplotlib.figure import Figure

    savefig = Figure.savefig
    if request.node.get_closest_marker("rendered") is None:
        blank = Figure(figsize=(1, 1))
        monkeypatch.setattr(Figure, "savefig", lambda _, *to, **how: savefig(blank, *to, **how))


@pytest.fixture(scope="module")
def replay_once() -> Iterator[None]:
    """Simulate a run that several calibrations of a module ask for once."""
    from lhsim.calibration import fit

    replay, replayed = fit.replay, {}

    def replay_or_recall(system: System, manifest: Manifest) -> Recording:
        asked = pickle.dumps((system, manifest))
        if asked not in replayed:
            replayed[asked] = replay(system, manifest)
        return replayed[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "replay", replay_or_recall)
        yield


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate with a quarter of the samples, whose simulation is more than half of the work.

    For tests that look at what was found, and not at how well it is known.
    """
    monkeypatch.setattr("lhsim.calibration.fit.SAMPLES", 10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).as_posix() + item.nodeid.partition(".py")[2]
        if place.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
