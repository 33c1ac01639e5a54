from .autoscaling import Autoscaler, autoscale
from .decision import Decision, decide
from .fleets import Fleet, fleet
from .scaling_out import ScaleOut, scaled_out, scaled_out_name
from .screening import Sensitivity, sensitivity
from .search import Capacity, capacities, capacity

__all__ = [
    "Autoscaler",
    "Capacity",
    "Decision",
    "Fleet",
    "ScaleOut",
    "Sensitivity",
    "autoscale",
    "capacities",
    "capacity",
    "decide",
    "fleet",
    "scaled_out",
    "scaled_out_name",
    "sensitivity",
]
