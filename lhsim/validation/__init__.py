"""Validation: a real bridge is measured, calibrated on, predicted, and measured again."""

from lhsim.validation.plan import FULL, QUICK, Plan, Repetitions
from lhsim.validation.validate import Validated, validate

__all__ = ["FULL", "QUICK", "Plan", "Repetitions", "Validated", "validate"]
