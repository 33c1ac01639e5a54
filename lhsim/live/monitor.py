"""What the bridge counts, for Prometheus: the metrics of the original proposal, by its names."""

from __future__ import annotations

import time
from functools import partial

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
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        handed_over = (
            "From the store of a message to its hand-over to the connection of its target."
        )
        by_architecture = ["architecture"]
        self.latency = histogram(
            "agent_comm_latency_ms", handed_over, by_architecture, buckets=_LATENCY
        )
        self.validation = histogram(
            "schema_validation_ms", "Of an answer by its schema.", buckets=_VALIDATION
        )
        self.deliveries = counter("message_deliveries", "Messages handed over.", by_architecture)
        self.failures = counter("comm_failures", "Messages that were not accepted.", ["reason"])
        self.cycles = counter("polling_cycles", "Queries of requests for messages.")
        self.timeouts = counter("timeout_events", "Requests answered with nothing.")
        self.wasted = counter("wasted_polls", "Queries that found nothing.")
        self.events = counter("websocket_events", "Messages sent by push.")
        self.posts = counter("webhook_posts", "Posts to targets.")
        self.retries = counter("webhook_retries", "Posts beyond the first of a message.")
        self.given_up = counter("webhook_timeouts", "Posts that were not answered in time.")
        self.dead_letters = counter("dead_letters", "Messages that no target has accepted.")
        self.duplicates = counter("queue_duplicates", "Deletes of what was deleted before.")
        self.memory = gauge("memory_usage_mb", "Resident memory.")
        self.processor = gauge("cpu_utilization_percent", "Of one core.")
        held = "Push connections and requests for messages held."
        self.connections = gauge("active_connections", held)
        answered = "Elicitations answered, of those that have ended."
        self.success = gauge("elicitation_success_rate", answered)
        self._used = counter("process_cpu_seconds", "Of all threads.")
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
        shown: list[tuple[str, str, float]] = [
            ("polling_interval_seconds", "Sleep between two queries.", settings.interval),
            ("polling_timeout_seconds", "Of a request, if it has none.", settings.timeout),
            ("polling_limit", "Messages in an answer.", settings.limit),
        ]
        if settings.short_poll:
            shown.append(("polling_hold", "Whether requests that find nothing are held.", 0))
        if settings.queue:
            text = "Of messages that were taken from the queue."
            shown.append(("polling_visibility_seconds", text, settings.visibility_timeout))
        if settings.webhook is not None:
            hook = settings.webhook
            shown += [
                ("webhook_attempts", "Posts of a message.", hook.attempts),
                ("webhook_timeout_seconds", "Of a post.", hook.timeout),
                ("webhook_backoff_seconds", "After the first failure.", hook.backoff),
                ("webhook_backoff_factor", "Of a back-off to the one before it.", hook.factor),
                ("webhook_backoff_longest_seconds", "Longest back-off.", hook.longest),
                ("webhook_in_flight", "Posts at a time.", hook.in_flight),
            ]
        for name, text, value in shown:
            Gauge(name, text, registry=self.registry).set(value)
