from .alerts import alerts_text
from .answers import run_capacity, run_decide, run_explain, run_sensitivity
from .calibrate import CalibrateOptions, run_calibrate
from .catalogue import catalogue
from .compare import CompareOptions, run_compare
from .crosscheck import CrosscheckOptions, run_crosscheck
from .everything import run_all
from .explore import run_explore
from .fleets import FleetOptions, run_fleet
from .latency import run_latency
from .logs import ImportOptions, InspectOptions, run_import, run_inspect
from .measure import run_measure
from .output import own_version
from .profile import ProfileOptions, run_profile
from .reporting import write_report
from .scaling import run_scaling
from .schemas import schema_text
from .serve import run_serve
from .start import first_lines, write_templates
from .suites.claims import run_claims
from .suites.registry import run_suite
from .sweep_file import run_file
from .validate import ValidateOptions, run_validate

__all__ = [
    "CalibrateOptions",
    "CompareOptions",
    "CrosscheckOptions",
    "FleetOptions",
    "ImportOptions",
    "InspectOptions",
    "ProfileOptions",
    "ValidateOptions",
    "alerts_text",
    "catalogue",
    "first_lines",
    "own_version",
    "run_all",
    "run_calibrate",
    "run_capacity",
    "run_claims",
    "run_compare",
    "run_crosscheck",
    "run_decide",
    "run_explain",
    "run_explore",
    "run_file",
    "run_fleet",
    "run_import",
    "run_inspect",
    "run_latency",
    "run_measure",
    "run_profile",
    "run_scaling",
    "run_sensitivity",
    "run_serve",
    "run_suite",
    "run_validate",
    "schema_text",
    "write_report",
    "write_templates",
]
