"""Calibration: from what was measured to a system, with the uncertainty of its parameters."""

from lhsim.calibration.blackbox import BlackBox, from_logs
from lhsim.calibration.components import read_components, with_components
from lhsim.calibration.levels import Level, levels
from lhsim.calibration.logs import Log, read_log
from lhsim.calibration.requests import RequestBox, from_requests
from lhsim.calibration.run_sheet import Run, read_sheet
from lhsim.calibration.runs import Calibrated, calibrate

__all__ = [
    "BlackBox",
    "Calibrated",
    "Level",
    "Log",
    "RequestBox",
    "Run",
    "calibrate",
    "from_logs",
    "from_requests",
    "levels",
    "read_components",
    "read_log",
    "read_sheet",
    "with_components",
]
