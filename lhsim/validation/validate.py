"""Measure a real server, calibrate on a part of the runs, and hold the model against the rest.

The loads to calibrate on are a low one, some middling ones, one that saturates the server, and for
polling one of agents that send more and poll less. The loads to be predicted lie between them, and
were seen neither by the calibration nor by the guesses of the loads. Each run has a server of its
own with an empty store, so that the spread from run to run is that of a server which somebody
starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from attrs import define, evolve, field, frozen

from lhsim.calibration import Calibrated, Level, calibrate
from lhsim.calibration.levels import FALL
from lhsim.crosscheck import Crosscheck, crosscheck
from lhsim.errors import InputError
from lhsim.live.driver import Load, measure
from lhsim.models import Poisson, System, Workload
from lhsim.recording import MANIFEST, Modelled, Recording
from lhsim.validation.bridge import serving
from lhsim.validation.plan import Plan
from lhsim.validation.ways import PREDICTIONS, WAYS, Way, predict

ATTEMPTS = 6  # to saturate the server, each with a fifth more
MORE = 1.2
FAR = 10_000  # from the seeds of the ordinary runs to those of another way

Tell = Callable[[str], None]  # what begins now


@frozen
class Agents:
    """The agents that send."""

    number: int
    rate: float  # of each [messages/s]


@frozen(eq=False, repr=False)
class Validated:
    """What a validation came to."""

    architecture: Modelled
    calibrated: Calibrated
    crosscheck: Crosscheck
    runs: tuple[Recording, ...]  # those calibrated on
    predicted: tuple[Recording, ...]
    kept: int  # of these runs were there already
    ways: dict[str, Crosscheck] = field(factory=dict)  # other ways to deliver, by name

    def __repr__(self) -> str:
        """Return the verdict in a line."""
        return f"<Validated {self.architecture}: {self.crosscheck!r}>"


def validate(
    plan: Plan,
    architecture: Modelled,
    folder: Path,
    *,
    store: str | None = None,
    seed: int = 1,
    ways: Sequence[str] = (),
    executor: Executor | None = None,
    tell: Tell = lambda _what: None,
) -> Validated:
    """Measure, calibrate, predict, and compare.

    Parameters
    ----------
    plan
        How much is measured.
    architecture
        How the agents receive.
    folder
        Keeps the runs, each as soon as it is finished; those that are there are not measured again.
    store
        URL of the server's event store; None: SQLite, a new file for each run.
    seed
        Of all messages.
    ways
        Names of `lhsim.validation.ways.WAYS`: bridges that deliver in another way are measured as
        well, those of this architecture, and held against the same model.
    executor
        Simulates several runs at a time.
    tell
        Is called with what begins.

    Raises
    ------
    InputError
        When the server does not start, or does not become saturated.
    """
    campaign = _Campaign(plan, architecture, folder, store, seed, tell)
    campaign.run()
    tell("calibrating")
    name = f"validated-{architecture}"
    calibrated = calibrate(campaign.calibration, name=name, executor=executor)
    tell("predicting")
    found = crosscheck(calibrated.system, campaign.predicted, seed=seed, executor=executor)
    others = {
        name: campaign.of_way(name).held_against(calibrated.system, executor)
        for name in ways
        if WAYS[name].architecture == architecture
    }
    return Validated(
        architecture=architecture,
        calibrated=calibrated,
        crosscheck=found,
        runs=tuple(campaign.calibration),
        predicted=tuple(campaign.predicted),
        kept=campaign.kept,
        ways=others,
    )


@define(eq=False)
class _Campaign:
    """The live runs of a validation.

    The repetitions come in rounds, each with all loads: what the machine does over minutes is then
    a part of the spread from run to run, and not a difference between loads.
    """

    plan: Plan
    architecture: Modelled
    folder: Path
    store: str | None
    seed: int
    tell: Tell
    way: Way | None = None  # None: the ordinary one
    capacity: float = 0.0  # [messages/s]
    count: int = 0  # runs so far
    kept: int = 0
    calibration: list[Recording] = field(factory=list)
    predicted: list[Recording] = field(factory=list)

    def run(self) -> None:
        """Measure: a first round in which each load follows from those before, then the others."""
        plan = self.plan
        loads = {"low": Agents(plan.agents, self._rate)}
        self._measured("low", 1, loads["low"])
        for part in plan.middling:
            name = f"core-{part:g}"
            loads[name] = self._agents_at(load_that_uses(part, self._costs))
            self._measured(name, 1, loads[name])
        loads["saturated"] = self._saturate()
        capacity = self.capacity = load_that_uses(1.0, self._costs)
        predicted = {
            f"predicted-{part:g}": self._agents_at(part * capacity) for part in plan.predicted
        }
        if self.architecture == "polling":
            loads["chatty"] = self._chattier(loads[f"core-{plan.middling[-1]:g}"])
            self._measured("chatty", 1, loads["chatty"])
        for number in range(1, plan.repetitions.most + 1):
            for name, agents in loads.items():
                if 1 < number <= self._times(name):
                    self._measured(name, number, agents)
            for name, agents in predicted.items():
                if number <= plan.repetitions.predicted:
                    self.predicted.append(self._run(f"{name}-{number}", agents))

    def of_way(self, name: str) -> _Campaign:
        """Return the campaign of another way to deliver."""
        folder = self.folder / name
        seed = self.seed + FAR
        return _Campaign(self.plan, self.architecture, folder, self.store, seed,
                         lambda what: self.tell(f"{name}, {what}"), WAYS[name],
                         self.capacity)  # fmt: skip

    def held_against(self, system: System, executor: Executor | None) -> Crosscheck:
        """Predict the runs of a way, write that down, measure them, and compare."""
        assert self.way is not None
        loads = [self._agents_at(part * self.capacity) for part in self.plan.ways]
        times = self.plan.repetitions.predicted
        planned = [
            [
                self.way.manifest(self._load(agents, self.seed + number * len(loads) + place))
                for number in range(times)
            ]
            for place, agents in enumerate(loads)
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tell("predicting")
        predict(system, planned, self.folder / PREDICTIONS, self.seed, executor)
        for number in range(1, times + 1):
            for part, agents in zip(self.plan.ways, loads, strict=True):
                self.predicted.append(self._run(f"part-{part:g}-{number}", agents))
        self.tell("comparing")
        return crosscheck(system, self.predicted, seed=self.seed, executor=executor)

    def _times(self, name: str) -> int:
        """Return how often a load that is calibrated on is measured."""
        times = self.plan.repetitions
        others = {"low": times.low, "saturated": times.saturated, "chatty": times.chatty}
        return others.get(name, times.middling)

    def _measured(self, name: str, number: int, agents: Agents) -> Recording:
        """Return a run to calibrate on."""
        self.calibration.append(self._run(f"{name}-{number}", agents))
        return self.calibration[-1]

    def _saturate(self) -> Agents:
        """Return the agents that saturate the server, by runs with more and more of them."""
        agents = self._agents_at(self.plan.overload * load_that_uses(1.0, self._costs))
        for attempt in range(ATTEMPTS):
            run = self._measured("saturated" if not attempt else f"nearly-{attempt}", 1, agents)
            if Level((run,)).saturated:
                return agents
            agents = evolve(agents, number=round(agents.number * MORE))
        allowed = f"one that {agents.number} agents saturate, or a driver that can send more"
        raise InputError("is not saturated", source="the bridge", allowed=allowed)

    @property
    def _costs(self) -> list[Cost]:
        """What a message costs at the loads so far."""
        figures = [run.measures() for run in self.calibration]
        if not all(one["cpu"] > 0 and one["throughput"] > 0 for one in figures):
            raise InputError("delivers nothing, or does not say what it uses", source="the bridge")
        return [Cost(one["cpu"], one["cpu"] / one["throughput"]) for one in figures]

    @property
    def _rate(self) -> float:
        return self.plan.rates[self.architecture]

    def _agents_at(self, load: float) -> Agents:
        return Agents(max(self.plan.agents + 1, round(load / self._rate)), self._rate)

    def _chattier(self, agents: Agents) -> Agents:
        """Return fewer agents that send as many messages."""
        times = self.plan.chatty
        return Agents(max(2, round(agents.number / times)), agents.rate * times)

    def _run(self, name: str, agents: Agents) -> Recording:
        """Measure a run, or read it where it is there."""
        folder = self.folder / name
        load = self._load(agents, self.seed + self.count)  # no two with the same messages
        self.count += 1
        if (folder / MANIFEST).is_file():
            self.kept += 1
            return self._read(folder, load)
        self.tell(f"{name}: {agents.number} agents")
        folder.mkdir(parents=True, exist_ok=True)
        store = self.store or f"sqlite:///{(folder / 'events.db').resolve()}"
        options = () if self.way is None else self.way.options
        with serving(store, folder / "bridge.log", options) as (url, core):
            run = measure(evolve(load, url=url, server_core=core))
        for path in folder.glob("events.db*"):
            path.unlink()
        run.write(folder)
        return run

    def _load(self, agents: Agents, seed: int) -> Load:
        plan = self.plan
        load = Load(
            url="http://127.0.0.1:1",  # until the bridge is there
            architecture=self.architecture,
            agents=agents.number,
            workload=Workload(traffic=Poisson(agents.rate)),
            duration=plan.duration,
            warmup=plan.warmup,
            drain=plan.drain,
            seed=seed,
            processes=1,
            spin=plan.spin,
        )
        return load if self.way is None else self.way.load(load)

    def _read(self, folder: Path, load: Load) -> Recording:
        run = Recording.read(folder)
        found = run.manifest
        same = (found.architecture, found.agents, found.workload, found.seed, found.warmup,
                found.duration) == (load.architecture, load.agents, load.workload, load.seed,
                                    load.warmup, load.duration)  # fmt: skip
        if not same:
            allowed = "runs of this plan and seed, --fresh, or another folder"
            raise InputError("holds another run", source=str(folder), allowed=allowed)
        return run


@frozen
class Cost:
    """What a message costs at a load."""

    used: float  # part of a core
    seconds: float  # of the core, for a message [s]


def load_that_uses(part: float, costs: Sequence[Cost]) -> float:
    """Return the load [messages/s] that uses so much of a core, guessed from the runs before.

    A message costs less the busier the server is: its caches stay warm. Runs of a few seconds
    scatter too much to tell how fast the cost falls, so that is taken from other runs, and each
    load is guessed from the nearest one.
    """
    nearest = min(costs, key=lambda cost: abs(cost.used - part))
    return float(part / (nearest.seconds * (part / nearest.used) ** -FALL))
