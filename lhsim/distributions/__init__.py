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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
