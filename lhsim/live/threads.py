"""The threads that call the event store, and the way to them and back.

Writes have one thread, and what they have stored comes back to the loop in the order in which it
was stored; push relies on that. With SQLite that thread also reads.

Who waits for the store waits `store_timeout` at most, however long the queue is; what nobody waits
for any more is not begun.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from attrs import define

from lhsim.live.settings import SQLITE, BridgeSettings, store_of
from lhsim.live.stages import Stage, StageTimes
from lhsim.live.store import Event, EventStore, NewEvent, SqliteStore, Stored, StoreError

T = TypeVar("T")

QUERY: Final = "query"
WRITE: Final = "write"
LAST = 1.0  # that the store has when the bridge stops [s]
FRESH = 1.0  # for which a look at the store is good [s]
_TICK = 0.1  # between two looks for those who have waited too long [s]
_SILENT = "the store does not answer in time"


def open_store(settings: BridgeSettings) -> EventStore:
    """Return the store that the settings name; raise `InputError` when it cannot be used."""
    kind, place = store_of(settings.store)
    if kind == SQLITE:
        return SqliteStore(place, settings.store_timeout)
    from lhsim.live.postgres import PostgresStore  # noqa: PLC0415 - needs its library

    return PostgresStore(place, settings.store_timeout)


@define(eq=False, slots=False)
class StoreThreads:
    """An event store for a loop."""

    _store: EventStore  # is closed with it
    _settings: BridgeSettings
    # Called on the loop for each new event, in the order of their numbers, before whoever stored it
    # goes on; and before the next of these when a write has failed and may have been done
    _stored: Callable[[Event], None]
    _doubted: Callable[[], None] = lambda: None
    # Called on the thread that writes, at the commit of new events
    _committed: Callable[[Sequence[Event]], None] = lambda _events: None
    _stages: StageTimes | None = None  # gets the times of query, write and thread_hop

    def __attrs_post_init__(self) -> None:
        self.hangs = False  # after `close`: whether a thread is still with the store
        settings = self._settings
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._readers = self._writer
        if store_of(settings.store)[0] != SQLITE:
            self._readers = ThreadPoolExecutor(settings.store_connections, "store-read")
        self._batch: list[tuple[NewEvent, asyncio.Future[Stored]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._patient = _Patience(settings.store_timeout)
        self._in_doubt = False
        self._failed = -math.inf  # when a write failed, and none has succeeded since [s]
        self._look: tuple[float, asyncio.Future[None]] | None = None  # since when, at the store

    async def read(self, target: str, since: int, limit: int) -> list[Event]:
        """Return the events for an agent whose number is above `since`, oldest first.

        Raise `StoreError` when the store fails, or does not answer in time.
        """
        return await self._call(lambda: self._store.read(target, since, limit))

    async def do(self, work: Callable[[EventStore], T], *, writes: bool = False) -> T:
        """Return what `work` returns on a thread, in line with what else reads, or writes.

        Raise `StoreError` as `read` does.
        """
        pool = self._writer if writes else self._readers
        return await self._call(lambda: work(self._store), pool, WRITE if writes else QUERY)

    async def append(self, event: NewEvent) -> Stored:
        """Store an event, with others if they go out in batches.

        Raise `StoreError` when the store fails, or does not answer in time; the event may
        have been stored.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored] = loop.create_future()
        self._patient.wait_for(future)
        self._batch.append((event, future))
        if len(self._batch) >= self._settings.batch_size:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._settings.linger, self.flush)
        # The write goes on when its sender hangs up: others may be in its batch.
        return await asyncio.shield(future)

    async def check(self) -> str | None:
        """Return what is wrong with the store, None when nothing is; many may ask at a time."""
        now = time.monotonic()
        if now - self._failed < self._settings.patience:
            return "the latest message could not be stored"
        if self._look is None or now - self._look[0] > FRESH:
            looking = asyncio.ensure_future(self._call(self._store.check, self._writer))
            self._look = now, looking
        try:
            await asyncio.shield(self._look[1])
        except StoreError as error:
            return str(error)
        return None

    def flush(self) -> None:
        """Send off the batch that is being collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, []
        if not batch:
            return

        def write() -> list[tuple[asyncio.Future[Stored], Stored | Exception]]:
            wanted = [(event, future) for event, future in batch if not future.done()]
            results = self._write([event for event, _ in wanted])
            return [(one[1], result) for one, result in zip(wanted, results, strict=True)]

        def done(
            results: list[tuple[asyncio.Future[Stored], Stored | Exception]] | None,
            _error: BaseException | None,
        ) -> None:
            for future, result in results or ():
                self._note(result)
                if isinstance(result, Exception):
                    _settle(future, None, result)
                else:
                    _settle(future, result, None)

        self._submit(self._writer, "write", write, done)

    def _write(self, events: Sequence[NewEvent]) -> Sequence[Stored | Exception]:
        """Store events together, and where that fails one by one: seven need not suffer for one."""
        if not events:
            return []
        until = time.monotonic() + self._settings.store_timeout
        try:
            return self._append(events)
        except Exception as problem:
            if len(events) == 1:
                return [problem]
            return [self._write_one(event, until, problem) for event in events]

    def _write_one(self, event: NewEvent, until: float, before: Exception) -> Stored | Exception:
        if time.monotonic() >= until:
            return before
        try:
            return self._append([event])[0]
        except Exception as problem:
            return problem

    def _append(self, events: Sequence[NewEvent]) -> list[Stored]:
        stored = self._store.append(events, time.time())
        self._committed([one.event for one in stored if not one.duplicate])
        return stored

    def _note(self, result: Stored | Exception) -> None:
        """Say what was stored, in order, and after what may have been."""
        if isinstance(result, StoreError):
            self._failed = time.monotonic()
            self._in_doubt |= result.unknown
        if isinstance(result, Exception):
            return
        self._failed = -math.inf
        if self._in_doubt:
            self._in_doubt = False
            self._doubted()
        if not result.duplicate:
            self._stored(result.event)

    def stop(self) -> None:
        """Let all calls of the store end soon, those that are under way as well."""
        self._store.end_by(time.monotonic() + LAST)
        self._patient.end_in(LAST)

    async def close(self) -> None:
        """Store what was to be stored, and close the store."""
        self.stop()
        self.flush()
        pools = {self._writer, self._readers}
        last = [asyncio.wrap_future(pool.submit(_nothing)) for pool in pools]
        _, late = await asyncio.wait(last, timeout=LAST)
        self.hangs = bool(late)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        if not self.hangs:
            self._store.close()

    async def _call(
        self,
        work: Callable[[], T],
        pool: ThreadPoolExecutor | None = None,
        stage: Stage = QUERY,
    ) -> T:
        """Return what a query returns, or that there is no answer in time."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._patient.wait_for(future)

        def wanted() -> T | None:
            return None if future.done() else work()

        def done(result: T | None, error: BaseException | None) -> None:
            _settle(future, result, error)

        self._submit(pool or self._readers, stage, wanted, done)
        return await future

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


def _nothing() -> None:
    """Be the last thing that a thread does."""


class _Patience:
    """Ends what is waited for too long. All wait for the same time, so that one timer does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = math.inf
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def wait_for(self, future: asyncio.Future[Any]) -> None:
        """Let a future end with a `StoreError` when it is not done in time."""
        self._waiting.append((time.monotonic() + self._seconds, future))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._look)

    def end_in(self, seconds: float) -> None:
        """Let nobody wait any longer than that."""
        self._end = min(self._end, time.monotonic() + seconds)

    def _look(self) -> None:
        now = time.monotonic()
        while self._waiting and (self._waiting[0][1].done() or now >= self._until()):
            _settle(self._waiting.popleft()[1], None, StoreError(_SILENT))
        self._timer = (
            asyncio.get_running_loop().call_later(_TICK, self._look) if self._waiting else None
        )

    def _until(self) -> float:
        return min(self._waiting[0][0], self._end)
