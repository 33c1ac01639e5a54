"""Kernels that are compiled in a process of their own, while SimPy answers.

::

    python -m lhsim.compiled.building polling    # or push, with "options" or "failures" or neither
    python -m lhsim.compiled.building requests world

To compile a kernel takes a processor a minute or so, and is done once: it is kept on disk, where a
later run finds it. The process goes on when the one that started it ends, so that the next command
has what this one began; whoever asks for the same kernel meanwhile waits for it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from typing import TypeAlias

import numpy as np
from attrs import frozen

from lhsim import _jit
from lhsim.compiled import kernel
from lhsim.compiled.state import ARRAYS, PLAIN, WITH_FAILURES, WITH_OPTIONS, WITH_WORLD

AHEAD = "ahead"  # LHSIM_COMPILE: compile before the first run, not beside it
# What the compilation of a kernel takes on a slow processor, by what it covers [s].
USUAL = {PLAIN: 30.0, WITH_OPTIONS: 40.0, WITH_WORLD: 30.0, WITH_FAILURES: 75.0}
NAMES = ("", "options", "world", "failures")  # of what it covers
NICENESS = 5  # of a process that compiles, beside one that somebody waits for
LEAST = 5.0  # that one takes which has not come to its end for longer than usual [s]

Kind: TypeAlias = tuple[str, int]  # architecture, and one of `USUAL`


@frozen
class Build:
    """A process that compiles a kernel."""

    process: subprocess.Popen[bytes]
    began: float  # [s]

    def left(self, kind: Kind) -> float:
        """Return how long it goes on [s], about."""
        return max(LEAST, USUAL[kind[1]] - (time.monotonic() - self.began))


logger = logging.getLogger(__name__)

_LOCK = threading.Lock()
_BUILDS: dict[Kind, Build] = {}  # of this process


def seconds_left(kind: Kind) -> float:
    """Return how long it takes until a kernel can run [s], about; it is being compiled by then.

    0 where it is there, or is to be compiled ahead of the first run.
    """
    run = kernel.RUNS[kind]
    if os.environ.get("LHSIM_COMPILE") == AHEAD or _jit.is_compiled(run, *_arguments()):
        return 0.0
    build = _build(kind) if _jit.can_be_kept(run) else None
    if build is None:
        return USUAL[kind[1]]
    if build.process.poll() is not None:
        return 0.0
    return build.left(kind)


def wait(kind: Kind) -> None:
    """Wait for a kernel that is being compiled, and say so."""
    build = _BUILDS.get(kind)
    if build is None or build.process.poll() is not None:
        return
    text = "lhsim: compiling the engine, for about %.0f s more; it is kept for the next time"
    logger.warning(text, build.left(kind))
    build.process.wait()


def _build(kind: Kind) -> Build | None:
    """Return the process that compiles a kernel, and start it where there is none."""
    with _LOCK:
        if kind not in _BUILDS:
            command = [sys.executable, "-m", "lhsim.compiled.building", *_named(kind)]
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for who waits
                )
            except OSError:  # no more processes: it is compiled here, when it is needed
                return None
            _BUILDS[kind] = Build(process, time.monotonic())
        return _BUILDS[kind]


def _named(kind: Kind) -> list[str]:
    architecture, covers = kind
    return [architecture, *([NAMES[covers]] if covers else [])]


def _arguments() -> tuple[object, ...]:
    """Return what a kernel is called with: a state of nothing, until 0 s, for no event."""
    return np.zeros((ARRAYS, 2), np.int64), 0.0, 0


def _main(architecture: str, covers: str = "") -> None:
    """Compile a kernel, alone: a second process that wants to finds it when it has waited."""
    kind = architecture, NAMES.index(covers)
    os.nice(NICENESS)
    run = kernel.RUNS[kind]
    with (_jit.cache_folder(run) / f"{run.__name__}.lock").open("w") as lock:
        _hold(lock.fileno())
        run(*_arguments())


def _hold(file: int) -> None:
    try:
        import fcntl  # noqa: PLC0415
    except ImportError:  # no locks there: at worst two do the same
        return
    fcntl.flock(file, fcntl.LOCK_EX)


if __name__ == "__main__":
    _main(*sys.argv[1:])
