import math
import pickle
import subprocess
import sys

import attrs
import numpy as np
import pytest

import lhsim.distributions
from lhsim.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Exponential,
    Hyperexponential,
    Lognormal,
    Pareto,
    Scipy,
    Shifted,
    Uniform,
)
from lhsim.errors import InputError

PUBLIC = """
    CANDIDATES Candidate Deterministic Distribution Empirical Erlang Exponential Fit Gamma
    Hyperexponential Lognormal Mixture Pareto QuantileTable Quantiles Scaled Scipy Shifted Sum
    Uniform Weibull fit ks_distance look_up
"""


def concrete_classes(base=Distribution):
    own = [cls for cls in base.__subclasses__() if "__attrs_attrs__" in vars(cls)]
    own = [cls for cls in own if cls.__module__.startswith("lhsim.")]
    return own + [sub for cls in base.__subclasses__() for sub in concrete_classes(cls)]


def moments(distribution):
    """Return mean and variance by the trapezoidal rule over s, where u = 1 / (1 + exp(-s))."""
    s = np.linspace(-34, 34, 40_001)
    u = 1 / (1 + np.exp(-s))
    weight = u * u[::-1] * (s[1] - s[0])
    x = distribution.quantile(u)
    mean = np.sum(weight * x)
    return mean, np.sum(weight * (x - mean) ** 2)


def test_public_names():
    assert lhsim.distributions.__all__ == PUBLIC.split()
    assert all(hasattr(lhsim.distributions, name) for name in PUBLIC.split())


def test_import_leaves_the_slow_parts_of_scipy_alone():
    code = "import sys, lhsim.distributions; print('scipy.stats' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert output.stdout.strip() == b"False"


def test_each_class_has_a_name_of_its_own():
    classes = [
        cls for cls in concrete_classes() if cls.__module__.startswith("lhsim.distributions.")
    ]
    names = [cls.name for cls in classes]
    assert len(set(names)) == len(names) == 16
    assert {cls.tag for cls in classes} == {"family"}


def test_moments_are_those_of_the_quantile_function(smooth):
    mean, variance = moments(smooth)
    assert mean == pytest.approx(smooth.mean, rel=5e-5)
    assert variance == pytest.approx(smooth.variance, rel=2e-4)
    assert smooth.std == math.sqrt(smooth.variance)
    assert smooth.scv == pytest.approx(smooth.variance / smooth.mean**2, rel=1e-12)


def test_cdf_inverts_the_quantile(smooth):
    u = np.concatenate([np.geomspace(1e-12, 0.1, 50), np.linspace(0.1, 0.999, 50)])
    np.testing.assert_allclose(smooth.cdf(smooth.quantile(u)), u, rtol=1e-8, atol=1e-15)


def test_no_duration_is_negative(distribution):
    assert float(distribution.quantile(0.0)) >= 0
    assert float(distribution.cdf(-1e-9)) == 0.0
    np.testing.assert_array_equal(distribution.cdf([-1.0, -math.inf]), 0.0)


def test_the_ends_of_the_support(distribution):
    low, high = distribution.quantile([0.0, 1.0])
    assert distribution.cdf(low * (1 - 1e-9) - 1e-300) == 0.0
    assert distribution.cdf(high) == pytest.approx(1.0, abs=1e-12)
    assert low <= distribution.mean <= high


def test_shapes_are_kept(distribution):
    u = np.linspace(0.1, 0.9, 6).reshape(2, 3)
    assert distribution.quantile(u).shape == distribution.cdf(u).shape == (2, 3)
    assert np.ndim(distribution.quantile(0.5)) == np.ndim(distribution.cdf(0.5)) == 0
    assert distribution.quantile(u)[1, 2] == pytest.approx(distribution.quantile(u[1, 2]))


def test_survives_pickling_and_serves_as_a_key(distribution):
    copy = pickle.loads(pickle.dumps(distribution))
    assert copy == distribution
    assert len({copy, distribution}) == 1


@pytest.mark.parametrize("level", [-1e-9, 1.0000001, math.nan])
def test_a_level_outside_of_0_to_1_is_refused(level):
    with pytest.raises(InputError, match="from 0 to 1"):
        Exponential(1.0).quantile([0.5, level])


def test_scv_of_the_extremes():
    assert Deterministic(0.0).scv == 0.0
    assert Exponential(7.0).scv == pytest.approx(1.0)
    assert Pareto(1.0, 1.5).scv == Pareto(1.0, 0.5).scv == math.inf


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (Lognormal(8e-6, 0.3), "lognormal(median 8 us, sigma 0.3)"),
        (Shifted(Uniform(0.0, 0.1), 2.0), "shifted(base uniform(low 0 s, high 100 ms), by 2 s)"),
        (
            Hyperexponential([0.5, 0.5], [1e-3, 2.0]),
            "hyperexponential(probabilities [0.5, 0.5], means [1 ms, 2 s])",
        ),
        (
            Scipy("gamma", {"a": 2.0}, scale=1e-3),
            "scipy(distribution gamma, parameters {a 2}, loc 0 s, scale 1 ms)",
        ),
        (Empirical(np.ones(300)), "empirical(samples [300 values])"),
    ],
)
def test_short_form(distribution, text):
    assert str(distribution) == text


@pytest.mark.parametrize("scalar", ["50 ms", 0.05])
def test_a_plain_number_is_a_constant(scalar):
    assert Distribution.from_scalar(scalar) == Deterministic(0.05)


def test_an_own_distribution_needs_little():
    @attrs.frozen
    class Triangular(Distribution):
        name = "own triangular"
        high: float

        @property
        def mean(self):
            return 2 / 3 * self.high

        @property
        def variance(self):
            return self.high**2 / 18

        def _quantile(self, u):
            return self.high * np.sqrt(u)

        def _cdf(self, x):
            return np.minimum(x / self.high, 1.0) ** 2

    table = Triangular(3.0).table()
    assert table.mean == pytest.approx(2.0, rel=1e-9)
    assert table.variance == pytest.approx(0.5, rel=1e-4)
    with pytest.raises(TypeError, match="abstract"):
        Distribution()
