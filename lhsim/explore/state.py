"""The state of the page, and what it stands for: a link, systems, lines of Python, model files.

::

    system=polling&system=push&agents=1000&interval=0.5s&rate=0.2/s&slo=p99<1500ms

A link is read strictly, and names only systems that the command line has offered: it can open no
file. What it leaves out stays as each model file has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from attrs import evolve, field, frozen

from lhsim import _resources, parameters
from lhsim.errors import InputError, unknown_name
from lhsim.models import System
from lhsim.planning.objectives import Objective, parse_objectives
from lhsim.units import PER_SECOND, SECOND, Unit

LONGEST_LINK = 2000  # characters
MOST_SYSTEMS = 8
AGENTS = 2, 100_000
INTERVAL = 0.01, 60.0  # [s]
RATE = 0.001, 100.0  # [1/s]
CONNECTIONS = 1, 1_000_000
DEFAULT_SLO = "p99<1500ms"
DEFAULT_QUANTILE = 0.99  # on the curve, where the objective is not about latency
KEYS = ("system", "agents", "interval", "rate", "connections", "slo")


@frozen
class Candidate:
    """A system that the page offers."""

    name: str
    source: str  # a name or a file, as `lhsim.load_system` takes it
    own: Mapping[str, Any]  # settings that make it of its source
    data: Mapping[str, Any] = field(repr=False)  # the content of the file
    system: System = field(repr=False)

    @classmethod
    def read(cls, source: str, own: Mapping[str, Any] | None = None) -> Candidate:
        """Return a candidate from a model file, which is data: it may name no class of your own.

        Raises `InputError` when there is no such file or it is no valid one.
        """
        path = _resources.find("models", source)
        data = parameters.read_toml(path)
        system = parameters.structure(data, System, source=path.name, own_classes=False)
        found = cls(system.name, source, {}, data, system)
        if own is None:
            return found
        system = found.with_settings(own)
        return evolve(found, name=system.name, own=own, system=system)

    @property
    def server(self) -> str | None:
        """The table with the server's parameters; None for one without a limit of connections."""
        return next((one for one in ("polling", "push") if getattr(self.system, one)), None)

    @property
    def rate(self) -> float | None:
        """Messages of an agent, where its traffic has that parameter [1/s]."""
        return getattr(self.system.workload.traffic, "rate", None)

    @property
    def interval(self) -> float | None:
        """The sleep between two polls; None where it does not poll [s]."""
        return None if self.system.polling is None else self.system.polling.interval

    @property
    def connections(self) -> int | None:
        """The limit of connections; None for none."""
        return self.system.server.connections

    def with_settings(self, settings: Mapping[str, Any]) -> System:
        """Return its system with other parameters; raises `InputError` where they do not fit."""
        changed = parameters.apply_settings(
            self.data, settings, source=self.name, described=self.system
        )
        return parameters.structure(changed, System, source=self.name, own_classes=False)


def candidates(sources: Sequence[str]) -> dict[str, Candidate]:
    """Return what the page offers, by name: polling, with wake-on-write, push, and these sources.

    A file whose system has the name of one before it is named after the file as well. Raises
    `InputError` for a source that is no valid model file, and for too many.
    """
    woken = {"name": "polling with wake-on-write", "polling.wake_on_write": True}
    usual = [Candidate.read("polling"), Candidate.read("polling", woken), Candidate.read("push")]
    found = {one.name: one for one in usual}
    for source in dict.fromkeys(sources):
        if source in {one.source for one in usual}:
            continue
        one = Candidate.read(source)
        if one.name in found:
            one = Candidate.read(source, {"name": f"{one.name} ({source})"})
        found[one.name] = one
    if len(found) > MOST_SYSTEMS:
        raise InputError(f"{len(found)} systems", source="SYSTEM", allowed=f"up to {MOST_SYSTEMS}")
    return found


@frozen
class State:
    """What the page shows; None stands for what each model file says."""

    systems: tuple[str, ...]  # names of candidates
    agents: int = 1000
    interval: float | None = None  # sleep between two polls [s]
    rate: float | None = None  # messages of an agent [1/s]
    connections: int | None = None  # of a server at a time
    slo: str = DEFAULT_SLO

    @classmethod
    def from_link(cls, query: str, known: Mapping[str, Candidate]) -> State:
        """Return the state that a link describes, or refuse it with an `InputError`."""
        given = _fields(query)
        names = given.get("system", [])
        for name in names:
            if name not in known:
                raise unknown_name("system", name, known, source="system")
        if not names or len(set(names)) < len(names):
            allowed = "at least one, each once"
            raise InputError(f"{len(names)} systems", source="system", allowed=allowed)
        once = {key: _single(key, values) for key, values in given.items() if key != "system"}
        read: dict[str, Callable[[str], Any]] = {
            "agents": lambda text: _whole(text, "agents", *AGENTS),
            "interval": lambda text: _quantity(text, "interval", SECOND, *INTERVAL),
            "rate": lambda text: _quantity(text, "rate", PER_SECOND, *RATE),
            "connections": lambda text: _whole(text, "connections", *CONNECTIONS),
            "slo": lambda text: parse_objectives(text)[0].text,
        }
        return cls(tuple(names), **{key: read[key](text) for key, text in once.items()})

    @property
    def link(self) -> str:
        """The state as a query or the part of a URL after ``#``."""
        texts = {
            "agents": self.agents,
            "interval": self.interval and f"{self.interval!r}s",
            "rate": self.rate and f"{self.rate!r}/s",
            "connections": self.connections,
            "slo": self.slo,
        }
        pairs = [("system", name) for name in self.systems]
        return urlencode([*pairs, *((key, text) for key, text in texts.items() if text)])

    @property
    def objective(self) -> Objective:
        """What the systems have to keep."""
        return parse_objectives(self.slo)[0]

    @property
    def quantile(self) -> float | None:
        """Of the latency on the curve: that of the objective; None for the mean."""
        if self.objective.metric == "mean":
            return None
        return self.objective.quantile or DEFAULT_QUANTILE

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        """Return what differs from the file of a candidate: only parameters that it has."""
        server, found = candidate.server, dict(candidate.own)
        if self.interval is not None and server == "polling":
            found["polling.interval"] = self.interval
        if self.rate is not None and candidate.rate is not None:
            found["workload.traffic.rate"] = self.rate
        if self.connections is not None and server is not None:
            found[f"{server}.connections"] = self.connections
        return found

    def system(self, candidate: Candidate) -> System:
        """Return a candidate's system in this state."""
        return candidate.with_settings(self.settings(candidate))

    def python(self, candidate: Candidate) -> str:
        """Return a line of Python that prints a candidate's latency, to the last digit [s]."""
        estimate = "mean_estimate()" if self.quantile is None else f"estimate({self.quantile!r})"
        run = f"lhsim.simulate({self._expression(candidate)}, agents={self.agents})"
        return f"import lhsim; print({run}.{estimate}.value)"

    def python_of_capacity(self, candidate: Candidate, steps: int | None = None) -> str:
        """Return a line of Python that prints a candidate's capacity, after so many steps."""
        asked = f"{self._expression(candidate)}, {self.slo!r}"
        if steps is None:
            return f"import lhsim; print(lhsim.capacity({asked}).value)"
        some = f"itertools.islice(lhsim.capacities({asked}), {steps})"
        return f"import itertools, lhsim; print(list({some})[-1].value)"

    def python_of_decision(self, known: Mapping[str, Candidate]) -> str:
        """Return a line of Python that prints the decision between the systems."""
        systems = ", ".join(self._expression(known[name]) for name in self.systems)
        asked = f"{self.slo!r}, agents={self.agents}, systems=[{systems}]"
        return f"import lhsim; print(lhsim.decide({asked}).recommendation)"

    def _expression(self, candidate: Candidate) -> str:
        """Return what `lhsim.simulate` takes for a candidate's system, as Python."""
        settings, source = self.settings(candidate), repr(candidate.source)
        return f"lhsim.load_system({source}, {settings!r})" if settings else source

    def toml(self, candidate: Candidate) -> str:
        """Return a candidate's system in this state as a model file."""
        return parameters.dumps(self.system(candidate))


def _fields(query: str) -> dict[str, list[str]]:
    if len(query) > LONGEST_LINK:
        raise InputError(f"has {len(query):,} characters", source="link",
                         allowed=f"up to {LONGEST_LINK:,}")  # fmt: skip
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"
        )
    except ValueError:
        raise InputError(
            "is no link of this page", source="link", allowed="KEY=VALUE&..."
        ) from None
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        if key not in KEYS:
            raise unknown_name("key", key, KEYS, source="link")
        found.setdefault(key, []).append(value)
    return found


def _single(key: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise InputError("is there twice", source=key, allowed="each key once")
    return values[0]


def _whole(text: str, key: str, least: int, most: int) -> int:
    allowed = f"a whole number from {least:,} to {most:,}"
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise InputError(f"{text[:40]!r} is out of range", source=key, allowed=allowed)
    return int(text)


def _quantity(text: str, key: str, unit: Unit, least: float, most: float) -> float:
    allowed = f"{least:g} to {most:g} {unit.symbol}, such as {unit.hint(1)}"
    try:
        value = unit.parse(text)
    except InputError as error:
        raise InputError(error.problem, source=key, allowed=allowed) from None
    if not least <= value <= most:
        raise InputError(f"{text[:40]!r} is out of range", source=key, allowed=allowed)
    return value
