"""The workers of a Dask cluster, on this machine or on others, as an executor.

When a worker dies, the scheduler gives its cells to others; a cell of which several have died is a
failure. All workers must have the lhsim that is used here, as another one might have other figures.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from lhsim.errors import InputError, LhsimError
from lhsim.execution.identity import Identity, own_identity
from lhsim.execution.interrupts import interrupts_held_back

PATIENCE = 5.0  # with a scheduler that does not answer, or has no workers [s]
HERE = "127.0.0.1"  # a cluster of our own is not for others


@contextmanager
def cluster(jobs: int, scheduler: str | None) -> Iterator[Executor]:
    """Yield an executor for the workers of a scheduler, or of `jobs` workers that are started here.

    The scheduler is an address such as ``"tcp://10.0.0.5:8786"``. Raises `InputError` when Dask is
    not installed, the scheduler cannot be reached or has no workers, or one of them has another
    lhsim.
    """
    try:
        import distributed  # noqa: PLC0415 - optional
    except ImportError:
        allowed = "with Dask, which comes with: pip install 'lhsim[dask]'"
        raise InputError("dask is not installed", source="--executor", allowed=allowed) from None
    # What it says about lost workers and connections, lhsim says as results or failures.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if scheduler is None:
            with interrupts_held_back():
                own = distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    host=HERE,
                    dashboard_address=None,  # none, but its server still takes a port: any
                    scheduler_kwargs={"dashboard_address": f"{HERE}:0"},
                    silence_logs=logging.CRITICAL,
                )
            stack.enter_context(own)
        client = stack.enter_context(_client(scheduler or own.scheduler_address))
        _check_workers(client, scheduler)
        yield Workers(client, jobs if scheduler is None else None)


class Workers(Executor):
    """All workers of a cluster."""

    def __init__(self, client: Any, slots: int | None) -> None:
        self._client = client
        self._executor = client.get_executor()
        self._identity = own_identity()
        self.slots = slots
        self.elsewhere = slots is None  # on machines whose memory nobody here knows

    @property
    def lost(self) -> bool:
        """Whether the scheduler, and so every worker, is out of reach for good."""
        return self._client.status in {"closing", "closed"}

    def submit(self, function: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Run a function on a worker."""
        future: Future[Any] = self._executor.submit(
            run_as_here, self._identity, function, *args, **more
        )
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def run_as_here(expected: Identity, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Run a function on a worker that has the lhsim of who asks; one may have come later."""
    if own_identity() != expected:
        raise LhsimError(f"this worker has {_said(own_identity())}, and not {_said(expected)}")
    return function(*args, **more)


def _client(address: str) -> Any:
    import distributed  # noqa: PLC0415

    with suppress(OSError, ValueError, TypeError):  # no answer, or no address at all
        return distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    # A client that failed closes itself once it is collected. In the middle of the start of another
    # one, both would wait for each other for ever.
    gc.collect()
    problem = f"{address!r} cannot be reached"
    allowed = "the address of a Dask scheduler, such as tcp://127.0.0.1:8786"
    raise InputError(problem, source="--scheduler", allowed=allowed)


def _check_workers(client: Any, scheduler: str | None) -> None:
    source = "--scheduler" if scheduler is not None else "--executor"
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        problem = f"{scheduler!r} has no workers"
        raise InputError(problem, source=source, allowed="at least one worker") from None
    own = own_identity()
    try:
        found: dict[str, Identity] = client.run(own_identity)
    except Exception as error:  # whatever a worker raises that has no lhsim, or one of long ago
        problem = f"a worker cannot use lhsim: {type(error).__name__}: {error}"
        raise InputError(problem, source=source, allowed=_said(own)) from None
    for worker, identity in found.items():
        if tuple(identity) != own:
            problem = f"worker {worker} has {_said(identity)}"
            raise InputError(problem, source=source, allowed=f"{_said(own)}, as here")


def _said(identity: Identity) -> str:
    version, meaning, layout = identity
    return f"lhsim {version} (meaning {meaning}, results {layout[:8]})"
