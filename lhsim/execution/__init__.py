"""Runs sets of independent cells, here, in other processes or on other machines, and keeps them."""

from lhsim.execution.cells import Cell, Failure, compile_once, engine_of, run
from lhsim.execution.executors import execute
from lhsim.execution.pools import KINDS, default_kind, workers
from lhsim.execution.runner import Runner, Tally, running
from lhsim.execution.store import Store

__all__ = [
    "KINDS",
    "Cell",
    "Failure",
    "Runner",
    "Store",
    "Tally",
    "compile_once",
    "default_kind",
    "engine_of",
    "execute",
    "run",
    "running",
    "workers",
]
