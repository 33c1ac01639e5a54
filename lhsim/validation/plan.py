"""How much is measured, and at which loads."""

from __future__ import annotations

from attrs import field, frozen

from lhsim.checks import non_negative, positive, whole
from lhsim.recording import Modelled
from lhsim.units import Seconds


@frozen
class Repetitions:
    """How often each load is measured, with other messages each time."""

    low: int = field(validator=whole(1))
    middling: int = field(validator=whole(1))
    saturated: int = field(validator=whole(1))
    chatty: int = field(validator=whole(1))
    predicted: int = field(validator=whole(2))  # or nothing would show how far live runs differ

    @property
    def most(self) -> int:
        """The number of rounds that it takes."""
        return max(self.low, self.middling, self.saturated, self.chatty, self.predicted)


@frozen
class Plan:
    """The runs of a validation.

    Loads are parts of the capacity, as the runs before let it be guessed. Those to be predicted are
    never calibrated on.

    Where each agent sends as much at all loads, messages and polls keep their ratio, and nothing
    tells what one costs from what the other does. So polling has one load more: the messages of the
    highest middling one, from fewer agents that send `chatty` times as many each, and poll less for
    them.
    """

    agents: int = field(validator=whole(2))  # of the lowest load
    middling: tuple[float, ...]  # parts of a core that are used, to calibrate on
    predicted: tuple[float, ...]  # parts of the capacity
    repetitions: Repetitions
    duration: Seconds = field(validator=positive)  # of a window [s]
    warmup: Seconds = field(validator=non_negative)
    drain: Seconds = field(validator=non_negative)
    overload: float = 1.2  # of the capacity as it is guessed, to saturate
    rates: dict[str, float] = field(factory=lambda: {"polling": 1.0, "push": 4.0})  # an agent [1/s]
    chatty: float = 4.0  # times as many messages of an agent
    # Parts of the capacity at which other ways to deliver are measured; there they may saturate
    ways: tuple[float, ...] = (0.1, 0.25, 0.4)
    spin: Seconds = 0.2  # of the machine, before and after each run

    def runs_of_way(self) -> int:
        """Return how many runs another way to deliver takes."""
        return len(self.ways) * self.repetitions.predicted

    def runs(self, architecture: Modelled) -> int:
        """Return how many there are, if saturation is found at once."""
        times = self.repetitions
        return (
            times.low
            + len(self.middling) * times.middling
            + times.saturated
            + times.chatty * (architecture == "polling")
            + len(self.predicted) * times.predicted
        )


QUICK = Plan(
    agents=30,
    middling=(0.35, 0.7),
    predicted=(0.5,),
    repetitions=Repetitions(low=1, middling=2, saturated=1, chatty=1, predicted=3),
    duration=3.0,
    warmup=1.5,
    drain=1.1,
)
"""The plan of `lhsim validate --quick`: one load to predict, a few minutes."""
FULL = Plan(
    agents=30,
    middling=(0.3, 0.75),
    predicted=(0.15, 0.35, 0.5, 0.65),
    repetitions=Repetitions(low=2, middling=3, saturated=2, chatty=2, predicted=4),
    duration=8.0,
    warmup=2.0,
    drain=1.5,
)
"""The plan of `lhsim validate --full`: four loads to predict, a quarter of an hour."""
