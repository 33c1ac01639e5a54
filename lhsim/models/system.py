"""A system: everything that a model file says."""

from __future__ import annotations

import math
from typing import Literal

from attrs import Factory, evolve, field, frozen

from lhsim.checks import positive, printable, whole, within
from lhsim.errors import InputError
from lhsim.models import paths
from lhsim.models.cpu import Cpu
from lhsim.models.faults import Disconnect, Fault, NodeFailure, Outage, cuts
from lhsim.models.memory import Memory
from lhsim.models.network import Network
from lhsim.models.nodes import Nodes
from lhsim.models.polling import PollingServer
from lhsim.models.push import PushServer
from lhsim.models.requests import RequestServer
from lhsim.models.server import Server
from lhsim.models.store import EventStore
from lhsim.models.workload import ONE_QUEUE, Requests, Workload
from lhsim.units import Seconds

FEWEST_SAMPLES = 10  # of the parameters: fewer say little about their spread
MOVING = ("cpu", "network")  # what may be slower in one run than in another


@frozen
class Provenance:
    """Where one parameter comes from."""

    source: str  # the measurement, publication or assumption
    samples: int | None = field(default=None, validator=whole(1))
    fit: str = ""  # what was fitted, and how well it held on data that it had not seen


@frozen
class CalibrationWarning:
    """What a calibration says against its own system; whoever uses that repeats it."""

    about: Literal["capacity", "parameters", "latency"]  # what of the system it speaks against
    text: str  # one sentence
    at_least: float | None = None  # what the capacity surely is; no more is known of it
    unit: Literal["messages/s", "agents"] = "messages/s"  # of that

    def __attrs_post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("is empty", key="text", allowed="a sentence")
        if self.at_least is not None and not 0 <= self.at_least < math.inf:
            raise InputError("is out of range", key="at_least", allowed="a number >= 0")


@frozen
class Calibration:
    """What a system was calibrated on. Beyond these ranges a result is an extrapolation."""

    source: str = ""
    host: str = ""
    date: str = ""
    agents: tuple[float, ...] | None = None  # from, to
    messages_per_second: tuple[float, ...] | None = None  # from, to [1/s]
    # Length of the windows of its runs; a prediction is of a further run like them [s].
    window: Seconds | None = field(default=None, validator=positive)
    pace: Seconds | None = None  # of the processor then (`lhsim.recording.Machine.pace`) [s]
    follows: float = field(default=1.0, validator=within(0, 2))  # power of a pace that costs have
    parameters: dict[str, Provenance] = Factory(dict)  # by the path of the parameter
    # Joint samples of uncertain parameters, by path: the k-th numbers of all belong together.
    # A path with a star holds factors of what is there (`lhsim.models.paths`).
    samples: dict[str, tuple[float, ...]] = Factory(dict)
    # By which factor, as a logarithm, it missed figures of runs: root mean square over the loads
    # that it was calibrated on, by the names of `lhsim.recording.Recording.measures`.
    misses: dict[str, float] = Factory(dict)
    # The mean of these logarithms where it has a sign: below 0 the system was too fast.
    biases: dict[str, float] = Factory(dict)
    # How far runs of one load are apart, as standard deviations of logarithms: of all costs of the
    # processor together (`cpu`), and of the ways (`network`). No part of the samples.
    moves: dict[str, float] = Factory(dict)
    warnings: tuple[CalibrationWarning, ...] = ()  # repeated with every figure of the system

    def __attrs_post_init__(self) -> None:
        for key in ("agents", "messages_per_second"):
            limits = getattr(self, key)
            if limits is not None and (len(limits) != 2 or limits[0] > limits[1]):
                raise InputError("is no range", key=key, allowed="two numbers, from and to")
        counts = {len(numbers) for numbers in self.samples.values()}
        if counts and (len(counts) > 1 or min(counts) < FEWEST_SAMPLES):
            allowed = f"lists of one length, {FEWEST_SAMPLES} or more"
            raise InputError("are no joint samples", key="samples", allowed=allowed)
        if not all(0 <= miss < math.inf for miss in self.misses.values()):
            raise InputError("is out of range", key="misses", allowed="numbers >= 0")
        if not all(math.isfinite(bias) for bias in self.biases.values()):
            raise InputError("is out of range", key="biases", allowed="numbers")
        for name in set(self.moves) - set(MOVING):
            problem = f"{name!r} is unknown"
            raise InputError(problem, key="moves", allowed=" and ".join(MOVING))
        if not all(0 <= moved < math.inf for moved in self.moves.values()):
            raise InputError("is out of range", key="moves", allowed="numbers >= 0")

    def beyond(self, agents: int, rate: float | None) -> tuple[str, ...]:
        """Return why a level lies beyond the calibrated range; nothing where it does not."""
        reasons = []
        if self.agents is not None and self.agents[1] == 0:
            return ("no load was compared",)
        if self.agents is not None and agents > self.agents[1]:
            reasons.append(f"{agents:,} agents; calibrated up to {self.agents[1]:,g}")
        limits = self.messages_per_second
        if limits is not None and rate is not None and rate > limits[1]:
            reasons.append(f"{rate:,g} messages/s; calibrated up to {limits[1]:,g}")
        return tuple(reasons)


@frozen
class System:
    """A server of one architecture, with the agents, the network and the store around it.

    Exactly one of `polling`, `push`, `requests` and `server`, which is one of the user's own, is
    there.
    """

    name: str = field(validator=printable)
    description: str = ""
    workload: Workload = Factory(Workload)
    network: Network = Factory(Network)
    cpu: Cpu = Factory(Cpu)
    store: EventStore = Factory(EventStore)
    polling: PollingServer | None = None
    push: PushServer | None = None
    requests: RequestServer | None = None
    own_server: Server | None = field(default=None, alias="server")  # `server` in a file
    nodes: Nodes | None = None  # behind a balancer; None: one, and no balancer
    memory: Memory = Factory(Memory)
    faults: tuple[Fault, ...] = ()
    calibration: Calibration | None = None

    def __attrs_post_init__(self) -> None:
        self._check_server()
        self._check_clients()
        self._check_nodes()
        self._check_queue()
        self._check_time()
        push = self.push
        comes_back = push is None or push.reconnect is not None or not push.connects
        if self.cuts and not comes_back:
            allowed = "a distribution where a fault cuts connections"
            raise InputError("is missing", key="push.reconnect", allowed=allowed)
        self._check_samples()

    def _check_server(self) -> None:
        servers = {
            "polling": self.polling,
            "push": self.push,
            "requests": self.requests,
            "server": self.own_server,
        }
        there = [name for name, one in servers.items() if one is not None]
        if len(there) != 1:
            key, *others = there or ["polling"]
            problem = f"stands beside {' and '.join(others)}" if there else "is missing"
            allowed = "exactly one of polling, push, requests and server"
            raise InputError(problem, key=key, allowed=allowed)

    def _check_clients(self) -> None:
        """Refuse what goes with no request/response server."""
        if self.requests is None and isinstance(self.workload.traffic, Requests):
            allowed = "another kind, or a request/response server: a table [requests]"
            raise InputError("has nobody to answer it", key="workload.traffic", allowed=allowed)
        if self.requests is None:
            return
        if any(isinstance(fault, Outage | Disconnect) for fault in self.faults):
            problem = "cut connections, of which there are none"
            allowed = "stalls, slowdowns and failures of nodes"
            raise InputError(problem, key="faults", allowed=allowed)
        if self.workload.retry is not None:
            problem = "does not go with requests"
            raise InputError(problem, key="workload.retry", allowed="nothing")
        if self.workload.topology != "ring":
            problem = f"{self.workload.topology!r} says who gets a message"
            allowed = "ring, the default, where clients send requests"
            raise InputError(problem, key="workload.topology", allowed=allowed)
        self._check_turns(self.requests)

    def _check_nodes(self) -> None:
        """Refuse a balancer, a network between its nodes or a failure that would do nothing."""
        failures = [fault for fault in self.faults if isinstance(fault, NodeFailure)]
        if failures and self.node_count == 1:
            problem, allowed = "need a node beside those that fail", "nodes.count >= 2"
            raise InputError(problem, key="faults", allowed=allowed)
        for fault in failures:
            if fault.node >= self.node_count:
                allowed = f"0 to {self.node_count - 1}"
                raise InputError(f"{fault.node} is no node", key="faults.node", allowed=allowed)
        if self.nodes is None:
            return
        if self.own_server is not None:
            problem, allowed = "stands beside a server of your own", "polling, push or requests"
            raise InputError(problem, key="nodes", allowed=allowed)
        others = {
            "workload.topology = queue": self.workload.topology == ONE_QUEUE,
            "push.webhook": self.push is not None and self.push.webhook is not None,
        }
        for other, there in others.items():
            if there and self.nodes.count > 1:
                problem = f"does not go with {other}"
                raise InputError(problem, key="nodes.count", allowed="1")
        crosses = self.push is not None and not self.push.asks_by_reply
        if not crosses and not self.nodes.link.table().is_zero:
            problem, allowed = "carries nothing", "0 where no message is pushed over a connection"
            raise InputError(problem, key="nodes.link", allowed=allowed)

    def _check_queue(self) -> None:
        """Refuse a queue that nobody polls, and what goes with none."""
        server = self.polling
        if self.workload.topology != ONE_QUEUE:
            if server is not None and server.visibility is not None:
                problem, allowed = "is that of a queue", "nothing, or workload.topology = queue"
                raise InputError(problem, key="polling.visibility", allowed=allowed)
            return
        if server is None:
            problem, allowed = "has no consumers", "another one, or a polling server"
            raise InputError(problem, key="workload.topology", allowed=allowed)
        for key in ("cache", "priorities", "client_timeout"):
            if getattr(server, key):
                problem, allowed = "does not go with a queue", "nothing"
                raise InputError(problem, key=f"polling.{key}", allowed=allowed)
        if self.cuts:
            problem, allowed = "cut connections, with a queue", "stalls and slowdowns"
            raise InputError(problem, key="faults", allowed=allowed)

    def _check_time(self) -> None:
        """Refuse clients without end whose requests take no time: there is no second instant."""
        traffic, classes = self.workload.traffic, self.workload.classes
        if not isinstance(traffic, Requests) or math.isfinite(traffic.messages_of_a_sender):
            return
        waits = any(kind.traffic.wait > 0 for kind in self.workload.kinds)
        travels = self.network.loss > 0 or any(one.network is not None for one in classes)
        cpu, store, network = self.cpu, self.store, self.network
        costs = cpu.parse_request, cpu.query, cpu.respond, store.query, network.up, network.down
        costs_nothing = not self.has_payloads and all(cost.table().is_zero for cost in costs)
        if costs_nothing and not waits and not travels:
            problem, allowed = "sends without end in no time", "a think time, or steps that cost"
            raise InputError(problem, key="workload.traffic", allowed=allowed)

    def _check_turns(self, server: RequestServer) -> None:
        """Refuse answers that wait for the end of a turn of which they are no part."""
        if not server.by_turn:
            return
        if self.cpu.cores > 1 or self.cpu.quantum is not None:
            allowed = "false where cores are shared"
            raise InputError("is that of loops", key="requests.by_turn", allowed=allowed)
        cpu, store = self.cpu, self.store
        queries = store.query_per_byte > 0 or not store.query.table().is_zero
        responds = cpu.per_byte.respond > 0 or not cpu.respond.table().is_zero
        if queries and not responds:
            allowed = "false where an answer comes from the store, and costs no cpu.respond"
            raise InputError("has no last operation", key="requests.by_turn", allowed=allowed)

    def _check_samples(self) -> None:
        """Refuse samples of what is no parameter of this system, or out of its range."""
        if self.calibration is None or not self.calibration.samples:
            return
        plain = evolve(self, calibration=None)
        for path, numbers in self.calibration.samples.items():
            try:
                for number in (min(numbers), max(numbers)):
                    paths.sampled(plain, path, number)
            except InputError as error:
                key = f"calibration.samples.{path}"
                raise InputError(error.problem, key=key, allowed=error.allowed) from None

    @property
    def kinds(self) -> tuple[System, ...]:
        """The system as the agents of each class have it: itself, where there are none."""
        classes = self.workload.classes
        if not classes:
            return (self,)
        plain = evolve(self, calibration=None)
        return tuple(
            evolve(plain, workload=workload, network=one.network or self.network)
            for one, workload in zip(classes, self.workload.kinds, strict=True)
        )

    @property
    def has_payloads(self) -> bool:
        """Whether messages, requests or answers have a size."""
        sizes = [workload.payload for workload in self.workload.kinds]
        if self.requests is not None:
            sizes.append(self.requests.answer_payload)
        return not all(size.table().is_zero for size in sizes)

    @property
    def server(self) -> PollingServer | PushServer | RequestServer | Server:
        """The server of its architecture."""
        server = self.polling or self.push or self.requests or self.own_server
        assert server is not None
        return server

    @property
    def architecture(self) -> str:
        """``"polling"``, ``"push"``, ``"requests"``, or ``"own"`` for one of the user's own."""
        if self.own_server is not None:
            return "own"
        if self.requests is not None:
            return "requests"
        return "polling" if self.polling is not None else "push"

    @property
    def cuts(self) -> tuple[Outage | Disconnect | NodeFailure, ...]:
        """The faults that cut connections, where there are any, in the order of their times."""
        return () if self.requests is not None else cuts(self.faults)

    @property
    def node_count(self) -> int:
        """How many nodes it has."""
        return 1 if self.nodes is None else self.nodes.count

    @property
    def loops(self) -> int:
        """How many event loops, or groups of cores that are shared, all of its nodes have."""
        return self.node_count * self.cpu.workers

    @property
    def processors(self) -> int:
        """How many operations run at a time at most, on all of its nodes."""
        return self.node_count * self.cpu.processors

    @property
    def caveats(self) -> tuple[str, ...]:
        """What its calibration says against it, each as one line."""
        warnings = self.calibration.warnings if self.calibration is not None else ()
        return tuple(" ".join(warning.text.split()) for warning in warnings)

    def offered_load(self, agents: int) -> float | None:
        """Return the messages that `agents` agents offer [1/s]; None for a closed loop."""
        return self.workload.offered_load(agents)
