"""The nodes behind a balancer: servers of their own, but for the one store that all of them share.

What a balancer and its nodes do, `lhsim.models.balancer` says.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from lhsim.checks import one_of, whole
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError

Rule = Literal["hash", "round_robin", "random", "least_connections", "two_choices"]
RULES = ("hash", "round_robin", "random", "least_connections", "two_choices")


@frozen
class Nodes:
    """Nodes behind a balancer, and the rule by which it sends each arrival to one of them.

    Each node has loops, cores, workers and limits of connections of its own: what `cpu`, `polling`,
    `push` and `requests` say is said of one node. An arrival is a request, a message that is sent,
    or an attempt to connect, whose connection then stays. The store is one.

    ``hash``: connection i goes to node i mod `count`. ``round_robin``: one node after the other, in
    the order of arrivals. ``random``: any. ``least_connections``: the node that holds the fewest
    requests and connections; of several the first after the one chosen last. ``two_choices``: of
    two nodes drawn at random the one that holds fewer; of equals the first that was drawn.
    """

    count: int = field(validator=whole(1, 100_000))  # servers, each with all that is said of one
    rule: Rule = field(default="hash", validator=one_of(RULES))
    # Whether a client keeps the node of its first choice: sticky sessions.
    affinity: bool = False
    # Network between nodes: of a pushed message whose target is connected to another node [s].
    link: Distribution = ZERO

    def __attrs_post_init__(self) -> None:
        if self.affinity and self.rule == "hash":
            allowed = "false where rule is hash"
            raise InputError("changes nothing", key="affinity", allowed=allowed)
