"""Elementary functions with the same bits on every processor.

NumPy has several implementations of its own, chosen by the instructions that a processor knows, and
they differ in the last bit. From there a difference grows: two messages change places, and a run is
another one. These are plain scalar code everywhere.
"""

from __future__ import annotations

import numpy as np
import scipy  # it loads its parts on their first use

from lhsim.distributions.table import FloatArray


def exp(x: FloatArray) -> FloatArray:
    """Return e to the power of `x`."""
    return np.asarray(scipy.special.inv_boxcox(x, 0.0))  # of parameter 0: the exponential function


def log(x: FloatArray) -> FloatArray:
    """Return the natural logarithm of `x` >= 0."""
    return np.asarray(scipy.special.xlogy(1.0, x))


def expm1(x: FloatArray) -> FloatArray:
    """Return exp(x) - 1."""
    return np.asarray(scipy.special.expm1(x))


def log1p(x: FloatArray) -> FloatArray:
    """Return log(1 + x), for `x` >= -1."""
    return np.asarray(scipy.special.log1p(x))


def power(x: FloatArray, exponent: float) -> FloatArray:
    """Return `x` >= 0 to the power of an exponent other than 0."""
    return exp(exponent * log(x))
