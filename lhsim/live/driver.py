"""The load driver: measures a bridge by its URL, open loop, from processes of its own.

The messages and their times are drawn before the run, the same as a simulation draws under that
seed. Each process has a part of the agents, receiving and sending; what one of them sends another
one may get, and the times of both are on one clock.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from attrs import evolve, field, frozen

from lhsim.checks import non_negative, one_of, positive, whole
from lhsim.distributions import Deterministic
from lhsim.errors import InputError, LhsimError, unknown_name
from lhsim.live import counters, probe
from lhsim.live.agents import Seen, Share
from lhsim.live.client import BridgeClient
from lhsim.live.mcp.protocol import MODES, Era
from lhsim.live.pace import slowdowns
from lhsim.live.settings import LONGEST_MESSAGE, is_loopback
from lhsim.live.workers import spawned, work
from lhsim.models import Slowdown, Webhook, Workload
from lhsim.models.schedule import Schedule, schedule
from lhsim.models.workload import NOBODY_YET, ONE_QUEUE, check_count
from lhsim.recording import ARCHITECTURES, Architecture, Machine, Manifest, Recording
from lhsim.units import Seconds

LONGEST = 3600.0  # run [s]
MOST_MESSAGES = 5_000_000
MOST_AGENTS = 50_000
LEAD = 0.5  # between the start signal and the start [s]
PATIENCE = 60.0  # to connect the agents, and half a second more for each of them [s]
USUAL = 1.0  # sleep of a short poll, where the server names none [s]
ANSWER = 10.0  # for the page of metrics [s]
LATE = 5e-3  # p99 of the driver's lag that spoils a run [s]
BUSY = 0.8  # part of a core that a process may use before it is late
STOLEN = 0.05  # part of the processors' time
FAILED = 0.001  # part of the messages that were refused
# A connection to send on, and one to receive. A client of MCP has two at rest and one more for each
# question or answer that is on its way: with a server that keeps up that is seldom more than one.
FILES_OF_AN_AGENT = {"polling": 2, "push": 2, "mcp": 3}
OF_WEBHOOKS = "push.webhook."
OF_SERVER = ("attempts", "timeout", "backoff", "factor", "longest", "in_flight")
FILES_BESIDES = 64  # libraries, pipes
MOST_ASKED = LONGEST_MESSAGE - 20  # characters of a question: its numbers need the rest

Progress = Callable[[float, float], None]  # seconds that have passed, of how many


@frozen
class Load:
    """What is to be measured."""

    url: str
    architecture: Architecture = field(validator=one_of(ARCHITECTURES))
    agents: int = field(validator=whole(1))
    workload: Workload
    duration: Seconds = field(default=20.0, validator=positive)  # of the window [s]
    warmup: Seconds = field(default=3.0, validator=non_negative)  # before it [s]
    drain: Seconds = field(default=2.0, validator=non_negative)  # after it; load goes on [s]
    seed: int = 1
    processes: int = field(default=2, validator=whole(1))
    payload: int = field(default=100, validator=whole(0))  # of a message, without its frame [B]
    spin: Seconds = field(default=1.0, validator=non_negative)  # probe, before and after [s]
    enrolment: str | None = field(default=None, repr=False)  # key of the bridge, if it has one
    server_core: int | None = field(default=None, validator=whole(0))  # of this machine
    era: Era | None = None  # of MCP; None: modern
    # What targets do with posts, where agents receive by webhooks; the rest is the server's
    webhook: Webhook | None = None

    def __attrs_post_init__(self) -> None:
        if self.server_core is not None and self.server_core >= probe.cores():
            allowed = f"a whole number below {probe.cores()}"
            raise InputError("is no core of ours", key="server_core", allowed=allowed)
        self._check_mcp()
        self._check_webhook()
        workload = self.workload
        has_queue = workload.topology == ONE_QUEUE
        for key, plain in (
            ("think", has_queue or workload.think == Deterministic(0.0)),
            ("slow", workload.slow is None),
            ("retry", workload.retry is None),
            ("classes", not workload.classes),
            ("payload", workload.payload == Deterministic(0.0)),
        ):
            if not plain:
                allowed = "none: the driver's agents are alike, and send on schedule"
                raise InputError("is not driven", key=f"workload.{key}", allowed=allowed)
        if has_queue and self.architecture != "polling":
            allowed = "with the architecture polling alone"
            raise InputError(f"{self.architecture} has no queue", key="workload.topology",
                             allowed=allowed)  # fmt: skip
        if not self.end <= LONGEST:
            raise InputError("is too long", key="duration", allowed=f"at most {LONGEST:g} s in all")
        load = workload.offered_load(self.agents)
        if self.agents > MOST_AGENTS:
            raise InputError("is too many", key="agents", allowed=f"at most {MOST_AGENTS:,}")
        if load is not None and load * self.end > MOST_MESSAGES:
            allowed = f"at most {MOST_MESSAGES:,} messages in a run"
            raise InputError("is too long for this load", key="duration", allowed=allowed)
        check_count(workload, self.agents)
        if not _is_url(self.url):
            problem = f"{self.url[:100]!r} is no URL"
            raise InputError(problem, key="url", allowed="http://HOST:PORT")

    def _check_mcp(self) -> None:
        asked = self.architecture == "mcp"
        if self.era is not None and not asked:
            allowed = "with the architecture mcp alone"
            raise InputError(f"{self.architecture} has none", key="era", allowed=allowed)
        if self.era is not None and self.era not in MODES:
            raise unknown_name("era", self.era, MODES, key="era")
        if asked and self.payload > MOST_ASKED:
            allowed = f"at most {MOST_ASKED:,} in a question"
            raise InputError(f"{self.payload:,} is too long", key="payload", allowed=allowed)

    def _check_webhook(self) -> None:
        if self.webhook is None:
            return
        if self.architecture != "push":
            allowed = "with the architecture push alone"
            raise InputError(f"{self.architecture} has none", key="webhook", allowed=allowed)
        for name in OF_SERVER:
            if getattr(self.webhook, name) != getattr(Webhook(), name):
                allowed = "failure and think; the server says the rest"
                raise InputError("is the server's", key=f"push.webhook.{name}", allowed=allowed)
        if not is_loopback(urlsplit(self.url).hostname or ""):
            problem = "cannot be reached by webhooks: their targets are on this machine's loopback"
            raise InputError(problem, key="url", allowed="a bridge on this machine, on loopback")

    @property
    def end(self) -> float:
        """The end of the run, drain included [s]."""
        return self.warmup + self.duration + self.drain

    def manifest(self, **known: Any) -> Manifest:
        """Return the manifest of a run of this load, with what else is known of the run."""
        return Manifest(
            architecture=self.architecture,
            agents=self.agents,
            workload=self.workload,
            seed=self.seed,
            warmup=self.warmup,
            duration=self.duration,
            drain=self.drain,
            **known,
        )

    @property
    def options(self) -> dict[str, str]:
        """What a recording says of the driver."""
        found = {"processes": str(self.processes), "payload": str(self.payload)}
        return found | ({"era": self.era or "modern"} if self.architecture == "mcp" else {})


def _check_files(load: Load, hook: Webhook | None) -> None:
    """Refuse a run whose agents would not get their connections."""
    each = math.ceil(load.agents / min(load.processes, load.agents))
    posts = 0 if hook is None else hook.in_flight or 0
    needed = FILES_OF_AN_AGENT[load.architecture] * each + posts + FILES_BESIDES
    most = probe.open_files()
    if needed > most:
        problem = f"needs {needed:,} open files in each process, of {most:,}"
        raise InputError(problem, key="agents", allowed="fewer, more processes, or a higher ulimit")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and bool((parts.hostname or "").encode("idna"))
        return (
            text.isprintable() and parts.scheme in {"http", "https"} and named and parts.port != 0
        )
    except ValueError:  # a port that is none, or a name that no host can have
        return False


def measure(load: Load, progress: Progress = lambda _passed, _of: None) -> Recording:
    """Drive a bridge, and return what was measured.

    Raises
    ------
    InputError
        When the workload has no schedule, or the bridge cannot be reached or refuses the agents.
    LhsimError
        When a process of the driver is lost.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    planned = schedule(load.workload, load.agents, load.end, load.seed)
    if not len(planned):
        raise InputError("holds no message", key="duration", allowed="a longer one, or more load")
    told = counters.settings(asyncio.run(_page(load)))
    hook = _webhook(load, told)
    _check_queue(load, told)
    _check_files(load, hook)
    before = probe.spin(load.spin)
    name = f"r{secrets.token_hex(4)}"
    count = min(load.processes, load.agents)
    shares = [(_share(load, told, hook, planned, name, part),) for part in range(count)]
    cores = [] if load.server_core is None else [(load.server_core,)]
    with spawned(work, shares) as pipes, spawned(probe.keep_pace, cores) as paces:
        _connected(load, pipes)
        start = time.monotonic() + LEAD
        host_before = probe.stolen()
        for pipe in pipes:
            pipe.send(start)
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(asyncio.run, _watch(load, start, over, progress))
            try:
                seen = [_receive(pipe, load.end) for pipe in pipes]
            except BaseException:
                over.set()  # else the reader of the counters would go on to its end
                raise
            counted = watching.result()
        host_after = probe.stolen()
        paced = _pace(paces, start)
    stalls = (before, probe.spin(load.spin))
    messages = _messages(planned, seen)
    machine = _machine(stalls, (host_before, host_after), messages)
    if paced is not None:
        machine = evolve(machine, pace=paced[0], slowdowns=paced[1])
    manifest = load.manifest(
        started=started,
        server={path: value for path, value in told.items() if not path.startswith(OF_WEBHOOKS)},
        options=load.options,
        webhook=hook,
        machine=machine,
    )
    run = Recording(manifest, messages, counted)
    doubts = tuple(_doubts(run, seen))
    duplicates = _duplicates(seen) if manifest.at_least_once else 0
    return evolve(run, manifest=evolve(manifest, doubts=doubts, duplicates=duplicates))


# --- processes -----------------------------------------------------------------------------------


def _share(
    load: Load,
    told: Mapping[str, float],
    hook: Webhook | None,
    planned: Schedule,
    name: str,
    part: int,
) -> Share:
    """Return the part of a run that a process has: every so many agents, for an even load."""
    agents = np.arange(load.agents)[part :: load.processes]
    rows = np.flatnonzero(planned.sender % load.processes == part)
    return Share(
        url=load.url,
        run=name,
        enrolment=load.enrolment,
        architecture=load.architecture,
        era=load.era or "modern",
        agents=agents,
        starts=planned.starts[agents],
        rows=rows,
        sender=planned.sender[rows],
        number=planned.number[rows],
        target=planned.target[rows],
        time=planned.time[rows],
        payload=load.payload,
        end=load.end,
        poll_after=None if told.get("polling.hold", 1.0) else told.get("polling.interval", USUAL),
        work=load.workload.think if load.workload.topology == ONE_QUEUE else None,
        producers=load.workload.producers or 0,
        webhook=hook,
        seed=load.seed,
    )


def _check_queue(load: Load, told: Mapping[str, float]) -> None:
    """Refuse a bridge without the queue that a run needs."""
    if load.workload.topology == ONE_QUEUE and "polling.visibility" not in told:
        allowed = "a bridge with one, lhsim serve --queue"
        raise InputError("has no queue", source=load.url, allowed=allowed)


def _webhook(load: Load, told: Mapping[str, float]) -> Webhook | None:
    """Return how messages are posted, by the server and to targets; None where they are not."""
    if load.webhook is None:
        return None
    try:
        own: dict[str, Any] = {name: told[f"{OF_WEBHOOKS}{name}"] for name in OF_SERVER}
    except KeyError:
        allowed = "a bridge that posts, lhsim serve --webhook-allow 'http://127.0.0.1:*'"
        raise InputError("says nothing of webhooks", source=load.url, allowed=allowed) from None
    whole = {name: int(own[name]) for name in ("attempts", "in_flight")}
    return evolve(load.webhook, **(own | whole))


def _connected(load: Load, pipes: list[Connection]) -> None:
    """Wait until all agents are connected."""
    until = time.monotonic() + PATIENCE + 0.5 * load.agents
    for pipe in pipes:
        if not pipe.poll(max(0.0, until - time.monotonic())):
            raise InputError("does not let all agents connect in time", source=load.url)
        problem = _take(pipe)
        if problem is not None:
            raise InputError(f"cannot be measured: {problem}", source=load.url)


def _receive(pipe: Connection, length: float) -> Seen:
    if not pipe.poll(LEAD + length + PATIENCE):
        raise LhsimError("a process of the driver does not end")
    seen = _take(pipe)
    if not isinstance(seen, Seen):
        raise LhsimError(f"a process of the driver has failed: {seen}")
    return seen


def _pace(paces: list[Connection], start: float) -> tuple[float, tuple[Slowdown, ...]] | None:
    """Return the speed of the server's core, and its slowdowns, from the start of the run on."""
    for pipe in paces:
        pipe.send(None)
    found = [_take(pipe) for pipe in paces]
    if not found or not isinstance(found[0], np.ndarray):
        return None
    times, seconds = found[0]
    inside = times >= start
    return slowdowns(times[inside] - start, seconds[inside]) if inside.any() else None


def _take(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise LhsimError("a process of the driver was lost") from None


# --- the server's own figures --------------------------------------------------------------------


async def _page(load: Load) -> str:
    """Return the page of metrics; nothing where there is none."""
    try:
        async with _client(load) as client:
            if load.architecture == "mcp":
                await _check_served(client, load)
            return await _read(client)
    except OSError as error:
        reason = error.strerror or "no answer"
        raise InputError(f"cannot be reached: {reason}", source=load.url) from None


def _client(load: Load) -> BridgeClient:
    return BridgeClient(load.url.rstrip("/"), "", load.enrolment or "")


async def _check_served(client: BridgeClient, load: Load) -> None:
    """Refuse a bridge that does not speak MCP."""
    response = await asyncio.wait_for(client.get("/mcp"), ANSWER)
    if response.status == 404:  # else 401: it wants a token
        allowed = "a bridge with MCP, lhsim serve --mcp"
        raise InputError("has no MCP", source=load.url, allowed=allowed)


async def _read(client: BridgeClient) -> str:
    response = await asyncio.wait_for(client.get("/metrics"), ANSWER)
    return response.body.decode("utf-8", "replace") if response.status == 200 else ""


async def _watch(
    load: Load, start: float, over: threading.Event, progress: Progress
) -> pd.DataFrame:
    """Read the counters about once a second, also where the window begins and the run ends."""
    rows = []
    ticks = np.arange(load.warmup % 1.0, load.end, 1.0)
    async with _client(load) as client:
        for tick in [*ticks.tolist(), load.end]:
            await asyncio.sleep(max(0.0, start + tick - time.monotonic()))
            if over.is_set():
                break
            # A gap in the counters is no end of the run, and TimeoutError is an OSError.
            with suppress(OSError):
                found = counters.counters(await _read(client))
                if found:
                    rows.append({"time_s": time.monotonic() - start, **found})
            progress(tick, load.end)
    return pd.DataFrame(rows) if rows else pd.DataFrame({"time_s": np.array([], float)})


# --- what it came to -----------------------------------------------------------------------------


def _messages(planned: Schedule, seen: list[Seen]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "sender": planned.sender,
            "number": planned.number,
            "target": planned.target,
            "intended_s": planned.time,
            "sent_s": np.nan,
            "acknowledged_s": np.nan,
        }
    )
    for part in seen:
        table.loc[part.rows, "sent_s"] = part.sent
        table.loc[part.rows, "acknowledged_s"] = part.acknowledged
    delivered = _delivered(seen).sort_values("delivered_s").drop_duplicates(["sender", "number"])
    table = table.merge(delivered, "left", on=["sender", "number"])
    if (planned.target == NOBODY_YET).any():
        table["target"] = table["taker"].fillna(NOBODY_YET).astype(int)
    return table.drop(columns="taker")


def _delivered(seen: list[Seen]) -> pd.DataFrame:
    columns = [(part.sender, part.number, part.delivered, part.taker) for part in seen]
    joined = map(np.concatenate, zip(*columns, strict=True))
    names = ("sender", "number", "delivered_s", "taker")
    return pd.DataFrame(dict(zip(names, joined, strict=True)))


def _duplicates(seen: list[Seen]) -> int:
    """Return how many deliveries were of what had been delivered before."""
    twice = int(_delivered(seen).duplicated(["sender", "number"]).sum())
    return twice + sum(part.repeated for part in seen)


def _machine(
    stalls: tuple[probe.Stalls, probe.Stalls],
    host: tuple[tuple[float, float], tuple[float, float]],
    messages: pd.DataFrame,
) -> Machine:
    spun = sum(one.seconds for one in stalls)
    lengths = [length for one in stalls for length in one.lengths]
    taken, of = (after - before for before, after in zip(*host, strict=True))
    lag = (messages["sent_s"] - messages["intended_s"]).dropna()
    return Machine(
        host=probe.host(),
        stalls_per_s=len(lengths) / spun if spun else None,
        stall_lengths=tuple(round(length, 6) for length in lengths[: probe.MOST_KEPT]),
        stolen=taken / of if of else None,
        lag_p50=float(lag.quantile(0.5)) if len(lag) else None,
        lag_p99=float(lag.quantile(0.99)) if len(lag) else None,
    )


def _doubts(run: Recording, seen: list[Seen]) -> Iterator[str]:
    """Yield what may have spoiled a run."""
    machine, cohort = run.manifest.machine, run.cohort
    unsent = int(cohort["sent_s"].isna().sum())
    if unsent:
        yield f"{unsent} of {len(cohort)} messages were not sent"
    if machine.lag_p99 is not None and machine.lag_p99 > LATE:
        yield f"the driver was late: p99 of its lag is {machine.lag_p99 * 1e3:.1f} ms"
    busiest = max(part.busy for part in seen)
    if busiest > BUSY:
        yield f"a process of the driver was busy for {busiest:.0%} of the time"
    if machine.stolen is not None and machine.stolen > STOLEN:
        yield f"the host took {machine.stolen:.0%} of the processors' time"
    refused = sum(part.refused for part in seen)
    if refused > FAILED * len(run.messages):
        problem = next(part.problem for part in seen if part.problem)
        yield f"{refused} requests failed; the last: {problem}"
    twice = _duplicates(seen)
    if twice and not run.manifest.at_least_once:
        yield f"{twice} messages were delivered more than once"
    if (run.counters.diff() < 0)[list(counters.TOTALS & set(run.counters))].any(axis=None):
        yield "the server's counters fell: it was started again"
