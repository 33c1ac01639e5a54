"""The threads that call the event store, and the way to them and back.

Writes have one thread, and what they have stored comes back to the loop in the order in which it
was stored; push relies on that. With SQLite that thread also reads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, cast

from lhsim.live.settings import SQLITE, BridgeSettings, store_of
from lhsim.live.stages import Stage, StageTimes
from lhsim.live.store import Event, EventStore, NewEvent, SqliteStore, Stored

T = TypeVar("T")


def open_store(settings: BridgeSettings) -> EventStore:
    """Return the store that the settings name.

    Raises
    ------
    InputError
        When it cannot be used.
    """
    kind, place = store_of(settings.store)
    if kind == SQLITE:
        return SqliteStore(place)
    from lhsim.live.postgres import PostgresStore  # noqa: PLC0415 - needs its library

    return PostgresStore(place)


class StoreThreads:
    """An event store for a loop.

    Parameters
    ----------
    store
        Is closed with it.
    settings
        Of the bridge.
    stored
        Called on the loop for each new event, in the order of their numbers, before whoever stored
        it goes on.
    stages
        Gets the times of ``query``, ``write`` and ``thread_hop``.
    """

    def __init__(
        self,
        store: EventStore,
        settings: BridgeSettings,
        stored: Callable[[Event], None],
        stages: StageTimes | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._stored = stored
        self._stages = stages
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._readers = self._writer
        if store_of(settings.store)[0] != SQLITE:
            self._readers = ThreadPoolExecutor(settings.store_connections, "store-read")
        self._batch: list[tuple[NewEvent, asyncio.Future[Stored]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, target: str, since: int, limit: int) -> list[Event]:
        """Return the events for an agent whose number is above `since`, oldest first."""
        future: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()

        def done(events: list[Event] | None, error: BaseException | None) -> None:
            _settle(future, events, error)

        self._submit(self._readers, "query", lambda: self._store.read(target, since, limit), done)
        return await future

    async def append(self, event: NewEvent) -> Stored:
        """Store an event, with others if they go out in batches."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored] = loop.create_future()
        self._batch.append((event, future))
        if len(self._batch) >= self._settings.batch_size:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._settings.linger, self.flush)
        # The write goes on when its sender hangs up: others may be in its batch.
        return await asyncio.shield(future)

    def flush(self) -> None:
        """Send off the batch that is being collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, []
        if not batch:
            return
        events = [event for event, _ in batch]

        def done(results: list[Stored] | None, error: BaseException | None) -> None:
            for place, (_, future) in enumerate(batch):
                result = results[place] if results else None
                if result is not None and not result.duplicate:
                    self._stored(result.event)
                _settle(future, result, error)

        self._submit(self._writer, "write", lambda: self._write(events), done)

    def _write(self, events: Sequence[NewEvent]) -> list[Stored]:
        return self._store.append(events, time.time())

    async def close(self) -> None:
        """Store what was to be stored, and close the store."""
        self.flush()
        loop = asyncio.get_running_loop()
        for pool in {self._writer, self._readers}:
            await loop.run_in_executor(None, pool.shutdown)
        self._store.close()

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        stage: Stage,
        work: Callable[[], T],
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """Do `work` on a thread, and `done` with what came of it on the loop, in this order."""
        loop = asyncio.get_running_loop()
        sent = time.perf_counter() if self._stages is not None else 0.0

        def run() -> None:
            begun = time.perf_counter()
            try:
                result, error = work(), None
            except Exception as problem:  # whatever it is, the one who waits has to hear of it
                result, error = None, problem
            ended = time.perf_counter()
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(back, result, error, begun, ended)

        def back(result: T | None, error: BaseException | None, begun: float, ended: float) -> None:
            if self._stages is not None:
                self._stages.add(stage, ended - begun)
                self._stages.add("thread_hop", begun - sent + time.perf_counter() - ended)
            done(result, error)

        pool.submit(run)


def _settle(future: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
    if future.done():  # whoever waited has gone
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(cast(T, result))  # there is one where there is no error
