"""Sweeps and bridges that are killed under load, again and again, and what that costs.

::

    python kills.py sweep KIND FOLDER KILLS     # serial, threads, processes or dask
    python kills.py bridge STORE FOLDER KILLS   # sqlite, or the URL of a PostgreSQL database

prints one JSON object. Of a sweep no cell that was kept may be lost or run again; of a bridge no
event that it acknowledged may be lost, doubled or put before an earlier one.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "unit" / "execution"), str(HERE.parent / "live")]

LONGEST = {"serial": 0.2, "threads": 0.2, "processes": 1.2, "dask": 4.0}  # until a kill [s]
# So many that a sweep is not done before its last kill.
CELLS = {"serial": 10, "threads": 10, "processes": 120, "dask": 40}  # for each kill
SENDERS = 8
BETWEEN = (0.05, 0.5)  # kills of a bridge [s]


def kill_sweeps(kind: str, folder: Path, kills: int) -> dict[str, int | bool]:
    """Kill a sweep at random moments until so many kills, then let it end."""
    import small

    from lhsim.execution import Runner, Store, compile_once
    from lhsim.execution import run as run_cell
    from lhsim.execution.identity import Keys

    engine = "simpy" if kind == "processes" else "auto"
    cells, key_of = small.cells(CELLS[kind] * kills, engine=engine), Keys()
    log = folder / "log"
    compile_once(cells)
    moments = random.Random(kind)
    kept: set[str] = set()
    read = lost = again = done = 0
    while True:
        child = os.fork()
        if child == 0:
            _sweep(kind, folder, log, cells)
            os._exit(0)
        if done < kills:
            time.sleep(moments.uniform(0, LONGEST[kind]))
            os.killpg(_group(child), signal.SIGKILL)
            done += 1
        _, status = os.waitpid(child, 0)
        ran = log.read_text().split() if log.exists() else []
        again += len(kept & set(ran[read:]))
        read = len(ran)
        with Store(folder) as store:
            now = {key.hex() for key in map(key_of, cells) if key in store}
        lost, kept = lost + len(kept - now), now
        if os.WIFEXITED(status):
            break
    with Store(folder) as store:
        outcomes, _ = Runner(None, store).run(cells)
    undisturbed = [run_cell(cell) for cell in cells[:50]]
    same = small.digest(list(outcomes.values())[:50]) == small.digest(undisturbed)
    return {"tried": done, "lost": lost, "again": again, "cells": len(kept), "same": same}


def _group(child: int) -> int:
    """Return the group that a child has made for itself and its workers."""
    while os.getpgid(child) != child:
        time.sleep(0.001)
    return child


def _sweep(kind: str, folder: Path, log: Path, cells: list) -> None:
    """Run what is left, and write the key of each cell to the log before it is kept."""
    os.setpgid(0, 0)
    from lhsim.execution import Runner, Store, workers
    from lhsim.execution.identity import Keys

    key_of = Keys()

    def note(cell, _outcome):
        with log.open("a") as file:
            file.write(key_of(cell).hex() + "\n")

    with workers(2, kind) as executor, Store(folder) as store:
        Runner(executor, store).run(cells, on_done=note)


async def kill_bridge(store: str, folder: Path, kills: int) -> dict[str, int]:
    """Kill a bridge under load; count what was acknowledged and is not there, or twice, or late."""
    from bridges import Bridge

    from lhsim.live.client import BridgeClient

    bridge = Bridge(folder, store)
    url = await asyncio.to_thread(bridge.start)
    port = bridge.port
    told: dict[tuple[int, int], int] = {}
    stopped = asyncio.Event()
    senders = [asyncio.ensure_future(_send(url, one, told, stopped)) for one in range(SENDERS)]
    moments = random.Random(store.partition(":")[0])
    for _ in range(kills):
        before = len(told)
        while len(told) == before:  # it is up, and under load
            await asyncio.sleep(0.005)
        await asyncio.sleep(moments.uniform(*BETWEEN))
        await asyncio.to_thread(bridge.end, signal.SIGKILL)
        await asyncio.to_thread(bridge.start, port=port)
    stopped.set()
    await asyncio.gather(*senders)
    try:
        async with await BridgeClient.connect(url, "bob") as bob:
            got, page = [], [None]
            while page:
                page = await bob.wait(0)
                got += page
    finally:
        await asyncio.to_thread(bridge.end, signal.SIGKILL)
    stored = [(event["payload"][0], event["payload"][1]) for event in got]
    numbers = {}
    for sender, number in stored:
        numbers.setdefault(sender, []).append(number)
    return {
        "tried": kills,
        "acknowledged": len(told),
        "lost": len(set(told) - set(stored)),
        "doubled": len(stored) - len(set(stored)),
        "reordered": sum(some != sorted(some) for some in numbers.values()),
    }


async def _send(url: str, sender: int, told: dict, stopped: asyncio.Event) -> None:
    """Send numbered messages one after the other, each again until it is acknowledged."""
    from websockets.exceptions import ConnectionClosed

    from lhsim.live.client import BridgeClient, BridgeError

    gone = (OSError, ConnectionClosed, BridgeError)
    number = 0
    while not stopped.is_set():
        try:
            async with await BridgeClient.connect(url, f"s{sender}") as client:
                while not stopped.is_set():
                    name = f"{sender}-{number}"
                    sequence = await client.store("bob", [sender, number], message_id=name)
                    told[sender, number] = sequence
                    number += 1
        except gone:
            await asyncio.sleep(0.02)


def main() -> None:
    """Do what the module's first lines say."""
    what, kind, name, kills = sys.argv[1:]
    folder = Path(name).resolve()
    if what == "sweep":
        found = kill_sweeps(kind, folder, int(kills))
    else:
        from bridges import schema

        place = nullcontext(str(folder / "events.db")) if kind == "sqlite" else schema(kind)
        with place as store:
            found = asyncio.run(kill_bridge(store, folder, int(kills)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
