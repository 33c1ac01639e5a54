"""Distributions of durations: never negative, in seconds, drawn by inversion of one uniform.

A distribution is its quantile function. `Distribution.table` turns it into a table of 2048 cells,
and that table *is* the distribution in both engines: see `lhsim.distributions.table` for its
layout and for what it keeps. A draw is ``look_up(distribution.table().cells, u)``.

- Families by their textbook parameters, and `Scipy` for any other of `scipy.stats`.
- `Mixture`, `Shifted`, `Scaled` and `Sum` of other distributions.
- `Empirical` of samples, and `Quantiles`, its compact form for a file.
- `fit` chooses and fits one of them to samples.

An own distribution is an attrs class derived from `Distribution`.
"""

from lhsim.distributions.base import Deterministic, Distribution
from lhsim.distributions.compounds import Mixture, Scaled, Shifted, Sum
from lhsim.distributions.empirical import Empirical, Quantiles
from lhsim.distributions.families import (
    Erlang,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Scipy,
    Uniform,
    Weibull,
)
from lhsim.distributions.fitting import CANDIDATES, Candidate, Fit, fit, ks_distance
from lhsim.distributions.table import QuantileTable, look_up

__all__ = [
    "CANDIDATES",
    "Candidate",
    "Deterministic",
    "Distribution",
    "Empirical",
    "Erlang",
    "Exponential",
    "Fit",
    "Gamma",
    "Hyperexponential",
    "Lognormal",
    "Mixture",
    "Pareto",
    "QuantileTable",
    "Quantiles",
    "Scaled",
    "Scipy",
    "Shifted",
    "Sum",
    "Uniform",
    "Weibull",
    "fit",
    "ks_distance",
    "look_up",
]
