"""What the bridge counts, for Prometheus: the metrics of the original proposal, by its names."""

from __future__ import annotations

import time

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lhsim.live.settings import BridgeSettings

_LATENCY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)  # [ms]
_VALIDATION = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50, 100)  # [ms]
_SHORTEST_SAMPLE = 1.0  # over which the use of the processor is taken [s]


class Monitor:
    """Counters, gauges and histograms in a registry of their own."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.latency = Histogram(
            "agent_comm_latency_ms",
            "From the store of a message to its hand-over to the connection of its target.",
            ["architecture"],
            buckets=_LATENCY,
            registry=own,
        )
        self.validation = Histogram(
            "schema_validation_ms", "Of an answer by its schema.", buckets=_VALIDATION, registry=own
        )
        self.deliveries = Counter(
            "message_deliveries", "Messages handed over.", ["architecture"], registry=own
        )
        self.failures = Counter(
            "comm_failures", "Messages that were not accepted.", ["reason"], registry=own
        )
        self.cycles = Counter("polling_cycles", "Queries of requests for messages.", registry=own)
        self.timeouts = Counter("timeout_events", "Requests answered with nothing.", registry=own)
        self.wasted = Counter("wasted_polls", "Queries that found nothing.", registry=own)
        self.events = Counter("websocket_events", "Messages sent by push.", registry=own)
        self.memory = Gauge("memory_usage_mb", "Resident memory.", registry=own)
        self.processor = Gauge("cpu_utilization_percent", "Of one core.", registry=own)
        self.connections = Gauge(
            "active_connections", "Push connections and requests for messages held.", registry=own
        )
        self.success = Gauge(
            "elicitation_success_rate",
            "Elicitations answered, of those that have ended.",
            registry=own,
        )
        self._used = Counter("process_cpu_seconds", "Of all threads.", registry=own)
        self._process = psutil.Process()
        self._counted = 0.0  # of the processor's time [s]
        self._sampled = (time.monotonic(), time.process_time())
        self._show(settings)

    def page(self) -> bytes:
        """Return all of them as Prometheus reads them."""
        self.memory.set(self._process.memory_info().rss / 1e6)
        wall, used = time.monotonic(), time.process_time()
        self._used.inc(used - self._counted)
        self._counted = used
        if wall - self._sampled[0] >= _SHORTEST_SAMPLE:
            busy = (used - self._sampled[1]) / (wall - self._sampled[0])
            self.processor.set(100 * busy)
            self._sampled = wall, used
        return generate_latest(self.registry)

    def _show(self, settings: BridgeSettings) -> None:
        """Show what who measures has to know of the server."""
        for name, text, value in (
            ("polling_interval_seconds", "Sleep between two queries.", settings.interval),
            ("polling_timeout_seconds", "Of a request, if it has none.", settings.timeout),
            ("polling_limit", "Messages in an answer.", settings.limit),
        ):
            Gauge(name, text, registry=self.registry).set(value)
