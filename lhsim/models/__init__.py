"""How the systems behave: SimPy processes, the reference meaning of every model.

Frozen classes describe a system, and are what a model file holds; the classes beside them in the
same module are its processes.
"""

from lhsim.models.cpu import Collection, Cpu, Slowdowns, Stalls, Warmth
from lhsim.models.faults import Disconnect, Fault, Outage, Slowdown, Stall
from lhsim.models.limits import RateLimit
from lhsim.models.log import Retention
from lhsim.models.memory import Memory
from lhsim.models.network import Network
from lhsim.models.polling import Cache, Growth, PollingServer
from lhsim.models.push import Elicitation, PushServer
from lhsim.models.server import Server, ServerProcesses
from lhsim.models.store import EventStore
from lhsim.models.system import Calibration, CalibrationWarning, Provenance, System
from lhsim.models.workload import (
    ArrivalProcess,
    Closed,
    OpenTraffic,
    Periodic,
    Piece,
    Piecewise,
    Poisson,
    Retry,
    Slow,
    Workload,
)

__all__ = [
    "ArrivalProcess",
    "Cache",
    "Calibration",
    "CalibrationWarning",
    "Closed",
    "Collection",
    "Cpu",
    "Disconnect",
    "Elicitation",
    "EventStore",
    "Fault",
    "Growth",
    "Memory",
    "Network",
    "OpenTraffic",
    "Outage",
    "Periodic",
    "Piece",
    "Piecewise",
    "Poisson",
    "PollingServer",
    "Provenance",
    "PushServer",
    "RateLimit",
    "Retention",
    "Retry",
    "Server",
    "ServerProcesses",
    "Slow",
    "Slowdown",
    "Slowdowns",
    "Stall",
    "Stalls",
    "System",
    "Warmth",
    "Workload",
]
