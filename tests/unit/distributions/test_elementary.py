"""Elementary functions: as exact as NumPy's, and the same whatever the processor knows."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from lhsim.distributions import elementary

POSITIVE = np.concatenate([np.geomspace(1e-300, 1e300, 5001), np.linspace(0.5, 2.0, 5001)])
ANY = np.concatenate([-np.geomspace(1e-300, 700, 3001), [0.0], np.geomspace(1e-300, 700, 3001)])


@pytest.mark.parametrize(
    ("name", "x"),
    [("log", POSITIVE), ("exp", ANY), ("expm1", ANY), ("log1p", POSITIVE), ("log1p", -ANY[:2501])],
)
def test_a_function_is_as_exact_as_that_of_numpy(name, x):
    x = x[x > -1] if name == "log1p" else x
    found, expected = getattr(elementary, name)(x), getattr(np, name)(x)
    assert np.all(np.abs(found - expected) <= 4 * np.spacing(np.abs(expected)))


def test_powers_keep_their_ends():
    ends = np.array([0.0, 1.0, np.inf])
    with np.errstate(divide="ignore"):
        assert elementary.power(ends, 0.3).tolist() == [0.0, 1.0, np.inf]
        assert elementary.power(ends, -0.3).tolist() == [np.inf, 1.0, 0.0]
    x = np.geomspace(1e-15, 1.0, 1001)
    np.testing.assert_allclose(elementary.power(x, -1.7), x**-1.7, rtol=3e-14)


TABLES = """
import hashlib
from lhsim.distributions import (
    Exponential, Gamma, Lognormal, Mixture, Pareto, Scaled, Sum, Weibull,
)
parts = [Exponential(0.3), Lognormal(1e-3, 0.7), Weibull(1.0, 0.7), Pareto(1e-3, 2.5)]
parts += [Mixture((0.2, 0.8), parts[:2]), Scaled(parts[1], 1.7), Sum((parts[0], Gamma(1.0, 2.0)))]
for part in parts:
    print(hashlib.sha256(part.table().cells.tobytes()).hexdigest())
"""


def test_tables_do_not_depend_on_what_numpy_finds_in_the_processor():
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    if not found:
        pytest.skip("this processor has nothing that NumPy would choose")

    def tables(**more):
        command = [sys.executable, "-c", TABLES]
        return subprocess.check_output(command, env={**os.environ, **more}, text=True)

    assert tables(NPY_DISABLE_CPU_FEATURES=" ".join(found)) == tables()
