"""Residuals by hand."""

from __future__ import annotations

import math

import pytest

from lhsim.calibration.residuals import Residual, misses_of, residual


def test_a_residual_by_hand():
    found = residual([math.exp(0.1), math.exp(0.3)], 1.0, 400)
    assert found.off == pytest.approx(0.2)
    assert found.noise == pytest.approx(0.02 * 1.5)  # the variance of one more run, and the mean's
    assert found.weight == pytest.approx(1 / (0.03 + 0.01))


def test_what_chance_explains_is_no_miss():
    misses, biases = misses_of({"latency_p99": [Residual(0.09, 0.01, 1.0)]})
    assert misses["latency_p99"] == 0
    assert biases["latency_p99"] == 0


def test_residuals_of_one_sign_are_a_bias_and_of_both_a_miss():
    alike = misses_of({"p": [Residual(-0.3, 0.0, 1.0), Residual(-0.3, 0.0, 1.0)]})
    apart = misses_of({"p": [Residual(-0.3, 0.0, 1.0), Residual(0.3, 0.0, 1.0)]})
    assert alike[0]["p"] == apart[0]["p"] == pytest.approx(0.3)
    assert alike[1]["p"] == pytest.approx(-0.3)
    assert apart[1]["p"] == 0
