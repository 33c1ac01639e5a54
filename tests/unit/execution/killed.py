"""Runs cells into a store, is killed at random moments, and goes on: prints what that came to.

``python killed.py FOLDER EXECUTOR``; `test_killed.py` says what has to be there.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import small

from lhsim.execution import Runner, Store, compile_once, runner, workers
from lhsim.execution import run as run_cell
from lhsim.execution.identity import Keys

KILLS = 20
LONGEST = 0.2  # until a kill [s]
CELLS = small.cells(400)
key_of = Keys()


def go_on(folder: Path, log: Path, kind: str) -> None:
    """Run what is left, and write the key of each cell to the log before it runs."""

    def logged(cell):
        with log.open("a") as file:
            file.write(key_of(cell).hex() + "\n")
        return run_cell(cell)

    runner.run = logged
    with workers(2, kind) as executor, Store(folder) as store:
        Runner(executor, store).run(CELLS)


def stored(folder: Path) -> set[str]:
    with Store(folder) as store:
        return {key.hex() for key in map(key_of, CELLS) if key in store}


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    log = folder / "log"
    compile_once(CELLS)
    moments = random.Random(20)
    twice, kills, kept, read = 0, 0, set(), 0
    lost = 0
    while True:
        child = os.fork()
        if child == 0:
            go_on(folder, log, kind)
            os._exit(0)
        if kills < KILLS:
            time.sleep(moments.uniform(0, LONGEST))
            os.kill(child, signal.SIGKILL)
            kills += 1
        _, status = os.waitpid(child, 0)
        ran = log.read_text().split() if log.exists() else []
        twice += len(kept & set(ran[read:]))
        read = len(ran)
        before, kept = kept, stored(folder)
        lost += len(before - kept)
        if os.WIFEXITED(status):
            break
    with Store(folder) as store:
        outcomes, _ = Runner(None, store).run(CELLS)
    undisturbed = [run_cell(cell) for cell in CELLS]
    print(
        json.dumps(
            {
                "kills": kills,
                "run_again": twice,
                "lost": lost,
                "cells": len(kept),
                "same": small.digest(outcomes.values()) == small.digest(undisturbed),
                "in_vain": read - len(CELLS),
            }
        )
    )


if __name__ == "__main__":
    main()
