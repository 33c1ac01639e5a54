"""Cross-check: a system held against live runs, with both uncertainties and a verdict."""

from lhsim.crosscheck.check import Coverage, Crosscheck, Overlay, crosscheck
from lhsim.crosscheck.judgement import Finding

__all__ = ["Coverage", "Crosscheck", "Finding", "Overlay", "crosscheck"]
