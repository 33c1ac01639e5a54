from .decision import Decision, decide
from .scaling_out import ScaleOut, scaled_out, scaled_out_name
from .screening import Sensitivity, sensitivity
from .search import Capacity, capacities, capacity

__all__ = [
    "Capacity",
    "Decision",
    "ScaleOut",
    "Sensitivity",
    "capacities",
    "capacity",
    "decide",
    "scaled_out",
    "scaled_out_name",
    "sensitivity",
]
