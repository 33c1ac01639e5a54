"""The workloads: which server, which request, how many clients to calibrate on and to predict."""

from __future__ import annotations

from attrs import frozen

LOOP = "EVAL|local t=0 for i=1,150000 do t=t+i%7 end return t|0"


@frozen
class Workload:
    """Clients in a closed loop on a server."""

    name: str
    server: str
    protocol: str
    request: str
    think: str  # as `clients.py` takes it
    calibrated: tuple[int, ...]  # clients
    held_out: tuple[int, ...]


INDEXED = "SELECT value FROM entries WHERE id = 4711"
INSERT = "INSERT INTO written (value) VALUES ('x')"
SCAN = "SELECT count(*) FROM entries WHERE value LIKE '%0f%'"
SMALL, MORE = (1, 10, 30), (45, 60, 90)  # clients of a cheap request
WORKLOADS = (
    Workload("scan", "postgres", "postgres", SCAN, "1", (1, 10, 50), (100, 150, 250)),
    Workload("scan-exp", "postgres", "postgres", SCAN, "exp:1", (1, 10, 50), (100, 150, 250)),
    Workload("indexed", "postgres", "postgres", INDEXED, "0.1", (1, 10, 50), (75, 100, 150)),
    Workload("insert", "postgres", "postgres", INSERT, "0.1", (1, 5, 20), (30, 40, 60)),
    Workload("lua", "redis", "redis", LOOP, "0.2", SMALL, (50, 75, 120)),
    Workload("set", "redis", "redis", "SET|k|v", "0.05", SMALL, MORE),
    Workload("jetstream", "nats", "nats", "bench", "0.05", SMALL, MORE),
    Workload("qos1", "mosquitto", "mqtt", "lhsim/bench", "0.05", SMALL, MORE),
    Workload("confirm", "rabbitmq", "amqp", "lhsim-bench", "0.05", (1, 5, 15), (20, 30, 40)),
)
