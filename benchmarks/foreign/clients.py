"""Clients in a closed loop: each thinks, sends a request, waits for its answer, and thinks again.

    python clients.py PROTOCOL PORT REQUEST CLIENTS SECONDS THINK LOG

Opens the connections here and hands them to `loop.c`, which says what THINK may be. The log has a
row a request, in the order of their ends: ``client,start_s,end_s``, by one clock that does not
jump. ``ready`` is printed when all are connected, and ``done`` when all are answered; they close
when the standard input ends, so that the processor time of each connection can be read before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from protocols import PROTOCOLS

SOURCE = Path(__file__).with_name("loop.c")
PROGRAM = SOURCE.parents[1] / "build" / "loop"


def build() -> Path:
    """Return the program, compiled anew where its source has changed."""
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
        PROGRAM.parent.mkdir(exist_ok=True)
        new = PROGRAM.with_name(f"loop.{os.getpid()}")  # others may build or run it right now
        subprocess.run(["gcc", "-O2", "-o", new, SOURCE, "-lm"], check=True)
        new.replace(PROGRAM)
    return PROGRAM


def main() -> None:
    """Become the clients that the command line asks for."""
    protocol, port, text, clients, seconds, think, log = sys.argv[1:]
    of = PROTOCOLS[protocol]
    opened = [of(int(port), text) for _ in range(int(clients))]
    for one in opened:
        one.socket.set_inheritable(True)
    each = [f"{one.socket.fileno()}:{one.request.hex()}" for one in opened]
    program = str(build())
    os.execv(program, [program, seconds, think, of.ending.hex(), of.failure.hex(), log, *each])


if __name__ == "__main__":
    main()
