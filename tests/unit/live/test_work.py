"""A process of the driver, on a thread: when it says what, and when it hangs up."""

from __future__ import annotations

import gc
import threading
from multiprocessing import Pipe

import pytest

from lhsim.live import workers

LONGEST = 10.0  # of anything that is waited for [s]


class Plain:
    """Agents that do nothing, but say when they are closed."""

    def __init__(self, fault=None):
        self.fault = fault
        self.closed = threading.Event()

    async def connect(self):
        if self.fault is not None:
            raise self.fault

    async def run(self, start):
        return f"seen from {start}"

    async def close(self):
        self.closed.set()


@pytest.fixture
def begun(monkeypatch):
    """Begin the work of some agents; return our end of the pipe."""
    threads = []

    def begin(agents):
        monkeypatch.setattr(workers, "agents_of", lambda _share: agents)
        ours, theirs = Pipe()
        threads.append(threading.Thread(target=workers.work, args=(None, theirs)))
        threads[-1].start()
        return ours

    yield begin
    for thread in threads:
        thread.join(LONGEST)
        assert not thread.is_alive()
    gc.enable()  # a process of its own need not
    gc.unfreeze()


def told(pipe):
    assert pipe.poll(LONGEST)
    return pipe.recv()


def test_agents_stay_until_the_driver_hangs_up(begun):
    """Those of another process may still be asking them."""
    agents = Plain()
    pipe = begun(agents)
    assert told(pipe) is None
    pipe.send(2.5)
    assert told(pipe) == "seen from 2.5"
    assert not agents.closed.wait(0.3)
    pipe.close()
    assert agents.closed.wait(LONGEST)


def test_who_cannot_connect_says_why_and_hangs_up(begun):
    agents = Plain(ConnectionError("no way"))
    pipe = begun(agents)
    assert told(pipe) == "no way"
    assert agents.closed.is_set()
    pipe.close()
