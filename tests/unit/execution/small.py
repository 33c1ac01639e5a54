"""Small cells for the tests of this folder, which other processes can import."""

from __future__ import annotations

import hashlib

from lhsim.distributions import Deterministic, Exponential
from lhsim.execution import Cell
from lhsim.execution.encoding import encode
from lhsim.models import Cpu, Poisson, PollingServer, PushServer, System, Workload

MS = Deterministic(1e-3)
CPU = Cpu(parse_message=MS, query=Exponential(2e-3), send=MS)
PUSH = System(name="push", workload=Workload(traffic=Poisson(0.5)), cpu=CPU, push=PushServer())
POLLING = System(
    name="polling", workload=Workload(traffic=Poisson(0.5)), cpu=CPU, polling=PollingServer()
)


def cells(count: int, duration: float = 20.0, engine: str = "auto") -> list[Cell]:
    """Return so many different cells, half of them of either architecture."""
    return [
        Cell((PUSH, POLLING)[number % 2], 10, duration, 100 + number, engine)
        for number in range(count)
    ]


def digest(results: object) -> str:
    """Return a digest of results, every bit of them."""
    return hashlib.sha256(encode(tuple(results))).hexdigest()  # type: ignore[arg-type]
