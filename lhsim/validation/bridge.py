"""A bridge in a process of its own, on a core of its own where there are several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lhsim.errors import InputError

GRACE = 15.0  # to end [s]


@contextmanager
def serving(store: str, log: Path, options: Sequence[str] = ()) -> Iterator[tuple[str, int | None]]:
    """Run a bridge on a free port of this machine; yield its URL, and its core where that is known.

    `store` and `options` are as for ``lhsim serve``, and `log` gets what the bridge says. Raises
    `InputError` when it does not start.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "lhsim.experiments", "serve", "--port", "0", "--store", store]
    command += options
    with log.open("w", encoding="utf-8") as errors, on(cores[:1]):
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            process.wait(GRACE)
            said = log.read_text(encoding="utf-8").strip().splitlines()
            raise InputError(
                f"does not start: {said[-1] if said else 'it says nothing'}", source="the bridge"
            )
        with on(cores[1:]):
            yield url, cores[0] if cores else None
    finally:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def on(cores: list[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on some cores for a while."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
