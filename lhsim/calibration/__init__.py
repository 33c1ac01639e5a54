"""Calibration: from recordings of live runs to a system, with the uncertainty of its parameters."""

from lhsim.calibration.components import read_components, with_components
from lhsim.calibration.levels import Level, levels
from lhsim.calibration.runs import Calibrated, calibrate

__all__ = ["Calibrated", "Level", "calibrate", "levels", "read_components", "with_components"]
