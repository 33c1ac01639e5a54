"""What a server counts, read from its /metrics page in the text format of Prometheus.

Any server that counts under these names is understood; what it does not show stays unknown.
"""

from __future__ import annotations

import math

# Columns of a recording, by the names of the page; labels are summed over.
COUNTERS = {
    "process_cpu_seconds_total": "cpu_s",
    "polling_cycles_total": "polls",
    "wasted_polls_total": "wasted_polls",
    "message_deliveries_total": "deliveries",
    "timeout_events_total": "timeouts",
    "webhook_posts_total": "posts",
    "webhook_retries_total": "retries",
    "dead_letters_total": "dead_letters",
    "queue_duplicates_total": "duplicates",
    "memory_usage_mb": "memory_mb",
    "active_connections": "connections",
}
# Those that only grow while the server lives.
TOTALS = {
    "cpu_s", "polls", "wasted_polls", "deliveries", "timeouts", "posts", "retries", "dead_letters",
    "duplicates",
}  # fmt: skip
# What a server says of itself, by the paths of the model's parameters.
SETTINGS = {
    "polling_interval_seconds": "polling.interval",
    "polling_timeout_seconds": "polling.timeout",
    "polling_limit": "polling.limit",
    "polling_hold": "polling.hold",
    "polling_visibility_seconds": "polling.visibility",
    "webhook_attempts": "push.webhook.attempts",
    "webhook_timeout_seconds": "push.webhook.timeout",
    "webhook_backoff_seconds": "push.webhook.backoff",
    "webhook_backoff_factor": "push.webhook.factor",
    "webhook_backoff_longest_seconds": "push.webhook.longest",
    "webhook_in_flight": "push.webhook.in_flight",
}


def parse(page: str) -> dict[str, float]:
    """Return the samples of a page by name, summed over their labels."""
    found: dict[str, float] = {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        name, value = _sample(line)
        if math.isfinite(value):
            found[name] = found.get(name, 0.0) + value
    return found


def counters(page: str) -> dict[str, float]:
    """Return what is counted on a page, by the columns of a recording."""
    samples = parse(page)
    return {column: samples[name] for name, column in COUNTERS.items() if name in samples}


def settings(page: str) -> dict[str, float]:
    """Return the settings that a page shows, by the paths of the model's parameters."""
    samples = parse(page)
    return {path: samples[name] for name, path in SETTINGS.items() if name in samples}


def _sample(line: str) -> tuple[str, float]:
    name, _, rest = line.rpartition("}") if "}" in line else line.partition(" ")
    try:
        return name.partition("{")[0].strip(), float(rest.split()[0])
    except (ValueError, IndexError):
        return name, math.nan
