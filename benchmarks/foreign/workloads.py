"""The workloads: which server, which request, and at how many clients it is calibrated and judged."""

from __future__ import annotations

from attrs import frozen

REDIS_LOOP = "EVAL|local t=0 for i=1,150000 do t=t+i%7 end return t|0"


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
    of: str  # what the request is


SCAN = "SELECT count(*) FROM entries WHERE value LIKE '%0f%'"
WORKLOADS = (
    Workload("scan", "postgres", "postgres", SCAN, "1", (1, 10, 50), (100, 150, 250), "costly scan"),
    Workload("scan-exp", "postgres", "postgres", SCAN, "exp:1", (1, 10, 50), (100, 150, 250),
             "the same, exponential think times"),
    Workload("indexed", "postgres", "postgres", "SELECT value FROM entries WHERE id = 4711", "0.1",
             (1, 10, 50), (75, 100, 150), "query by key"),
    Workload("insert", "postgres", "postgres", "INSERT INTO written (value) VALUES ('x')", "0.1",
             (1, 5, 20), (30, 40, 60), "write, synced to disk"),
    Workload("lua", "redis", "redis", REDIS_LOOP, "0.2", (1, 10, 30), (50, 75, 120), "script of some ms"),
    Workload("ping", "redis", "redis", "SET|k|v", "0.05", (1, 10, 30), (45, 60, 90), "cheap command"),
    Workload("jetstream", "nats", "nats", "bench", "0.05", (1, 10, 30), (45, 60, 90),
             "publish, acknowledged by JetStream"),
    Workload("qos1", "mosquitto", "mqtt", "lhsim/bench", "0.05", (1, 10, 30), (45, 60, 90),
             "publish with quality of service 1"),
    Workload("confirm", "rabbitmq", "amqp", "lhsim-bench", "0.05", (1, 5, 15), (20, 30, 40),
             "persistent message, confirmed"),
)  # fmt: skip
