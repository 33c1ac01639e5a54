"""What all tests share, and which of the unit tests are slow."""

from pathlib import Path

import pytest
from hypothesis import settings

# The machine is shared, and the first call of a compiled function compiles it.
settings.register_profile("lhsim", deadline=None)
settings.load_profile("lhsim")

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
    "unit/test_documentation.py::test_the_site",
    "unit/test_kernel_cache.py",
    "unit/validation/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).as_posix() + item.nodeid.partition(".py")[2]
        if place.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
