"""Runs sets of independent cells, here or in other processes."""

from lhsim.execution.cells import Cell, Failure, compile_once, run
from lhsim.execution.executors import execute, workers

__all__ = ["Cell", "Failure", "compile_once", "execute", "run", "workers"]
