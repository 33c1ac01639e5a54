"""Classes of agents: those that send more, carry larger payloads, think longer or sit farther away.

The agents of a class follow each other: the first class has the first of them, and so on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lhsim.checks import non_negative, printable, within
from lhsim.distributions import Distribution
from lhsim.distributions.base import Sizes
from lhsim.errors import InputError
from lhsim.metrics.account import BATCHES, ClassAccount
from lhsim.models.network import Network
from lhsim.rules import class_ends, class_of
from lhsim.units import PerSecond

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CLASSES = 100
ALL = "all"  # of what a class has no name for


def _printable(instance: object, attribute: Any, value: Any) -> None:
    if value is not None:
        printable(instance, attribute, value)


@frozen
class AgentClass:
    """Agents that differ from others; what a class does not say is as for all agents."""

    share: float = field(validator=within(0, 1))  # of the agents; all shares make 1
    # By which figures and other classes call it; None: "class 1", "class 2", ... as they stand.
    name: str | None = field(default=None, validator=_printable)
    # Messages that an agent of the class sends, where the traffic has a rate [1/s]; 0: none.
    rate: PerSecond | None = field(default=None, validator=non_negative)
    payload: Sizes | None = None  # of a message that an agent sends [B]
    think: Distribution | None = None  # time of an agent [s]
    network: Network | None = None  # between an agent and the server
    # Class of the agents that its messages go to, with the topology random; None: any.
    target: str | None = None


def names_of(classes: Sequence[AgentClass]) -> tuple[str, ...]:
    """Return the names of classes."""
    return tuple(one.name or f"class {number}" for number, one in enumerate(classes, start=1))


def check_classes(classes: Sequence[AgentClass]) -> None:
    """Refuse classes whose shares do not make 1, or whose names do not tell them apart."""
    if len(classes) > MOST_CLASSES:
        problem, allowed = f"{len(classes)} are too many", f"at most {MOST_CLASSES}"
        raise InputError(problem, key="classes", allowed=allowed)
    names = names_of(classes)
    for number, one in enumerate(classes):
        if names[number] in names[:number]:
            problem = f"{names[number]!r} is there twice"
            raise InputError(problem, key=f"classes[{number}].name", allowed="each name once")
        if one.target is not None and one.target not in names:
            problem = f"{one.target!r} is no class"
            raise InputError(problem, key=f"classes[{number}].target", allowed=", ".join(names))
        if one.target is not None and classes[names.index(one.target)].share == 0:
            problem, allowed = f"{one.target!r} has no agents", "a class whose share is > 0"
            raise InputError(problem, key=f"classes[{number}].target", allowed=allowed)
    total = sum(one.share for one in classes)
    if classes and not abs(total - 1) < 1e-9:
        raise InputError(
            f"have {total:g} of all agents", key="classes", allowed="shares that make 1"
        )


def fewest_agents(classes: Sequence[AgentClass]) -> int:
    """Return so many agents that somebody sends, and each class has somebody to send to.

    A class with the share s of N agents has more than s N - 1 of them.
    """
    if not classes:
        return 1
    senders = max(one.share for one in classes if one.rate != 0)
    needs = [1 / senders]
    names = names_of(classes)
    for name, one in zip(names, classes, strict=True):
        if one.target is not None and one.share > 0:
            share = classes[names.index(one.target)].share
            needs.append((2 if one.target == name else 1) / share)
    return math.floor(max(needs)) + 1 if len(classes) > 1 else math.ceil(max(needs))


class Population:
    """So many agents, each of its class."""

    def __init__(self, classes: Sequence[AgentClass], agents: int) -> None:
        self.agents = agents
        self.names = names_of(classes) or (ALL,)
        self.ends = class_ends([one.share for one in classes] or [1.0], agents)
        # The first agent of each class, and the first beyond it.
        self.ranges = list(itertools.pairwise([0, *(int(end) for end in self.ends)]))
        # The same of the agents that the messages of a class may go to.
        self.targets = [
            (0, agents) if one.target is None else self.ranges[self.names.index(one.target)]
            for one in classes
        ] or [(0, agents)]

    def class_of(self, agent: int) -> int:
        """Return the number of an agent's class."""
        return class_of(agent, self.ends) if len(self.names) > 1 else 0

    def targets_of(self, agent: int) -> tuple[int, int]:
        """Return the first agent that an agent's messages may go to, and the first beyond those."""
        return self.targets[self.class_of(agent)]

    def accounts(
        self,
        cohort: NDArray[np.int64],
        histogram: NDArray[np.int64],
        latency: NDArray[np.float64],
        open_messages: tuple[NDArray[np.int64], NDArray[np.float64]],
    ) -> dict[str, ClassAccount]:
        """Return the accounts of the classes by name; none where all agents are alike.

        Parameters
        ----------
        cohort
            Ended messages, of shape (classes, len(Outcome)).
        histogram, latency
            As those of an account, one class below the other.
        open_messages
            Senders of those that have not ended, and when they were created [s].
        """
        if len(self.names) == 1:
            return {}
        of_class = np.searchsorted(self.ends, open_messages[0], side="right")
        found = {}
        for number, (name, (first, end)) in enumerate(zip(self.names, self.ranges, strict=True)):
            rows = slice(number * BATCHES, (number + 1) * BATCHES)
            found[name] = ClassAccount(
                agents=end - first,
                cohort=tuple(cohort[number].tolist()),
                histogram=histogram[rows],
                latency=latency[rows],
                open_since=np.sort(open_messages[1][of_class == number]),
            )
        return found

    def check_targets(self) -> None:
        """Refuse so few agents that those of a class have nobody to send to."""
        for name, own, targets in zip(self.names, self.ranges, self.targets, strict=True):
            some, others = own[1] - own[0], targets[1] - targets[0]
            if some and others - (own == targets) < 1:
                problem = f"{self.agents} leave class {name!r} nobody to send to"
                raise InputError(problem, key="agents", allowed="more of them")
