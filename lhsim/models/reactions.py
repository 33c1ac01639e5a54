"""What agents do with what reaches them, as it is drawn: the numbers that a simulation draws.

A driver of real servers has the agents do the same. How often an agent asks is up to the server,
so that a consumer's request has the number of a simulated one only as long as both ask alike; the
posts of a message are the same in both.
"""

from __future__ import annotations

from lhsim.distributions import Distribution
from lhsim.models.push import Webhook
from lhsim.models.stage import stage
from lhsim.rules import post_index
from lhsim.streams import Purpose, uniform


class Work:
    """How long a consumer works on what an answer holds."""

    def __init__(self, think: Distribution, seed: int) -> None:
        self._stage = stage(think, Purpose.THINK, seed)

    def time(self, agent: int, request: int) -> float:
        """Return the time for what a request of an agent has brought, by its number [s]."""
        return 0.0 if self._stage is None else self._stage.draw(agent, request)


class Targets:
    """What targets of webhooks do with posts, which are numbered from 0 on for each message."""

    def __init__(self, hook: Webhook, seed: int) -> None:
        self._failure = hook.failure
        self._seed = seed
        self._stage = stage(hook.think, Purpose.ANSWER_THINK, seed)

    def refuse(self, sender: int, number: int, post: int) -> bool:
        """Return whether a target refuses a post of message `number` of a sender."""
        index = post_index(post, number)
        return bool(uniform(self._seed, int(Purpose.POST_FAILURE), sender, index) < self._failure)

    def work(self, sender: int, number: int, post: int) -> float:
        """Return how long a target works on a post that it has not refused [s]."""
        if self._stage is None:
            return 0.0
        return self._stage.draw(sender, post_index(post, number))
