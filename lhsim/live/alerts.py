"""Alert rules for Prometheus, from the thresholds of `lhsim.metrics`.

The file has the form of https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lhsim.metrics import THRESHOLDS, Threshold

# What Prometheus computes for each metric of a threshold, from what the monitor counts.
EXPRESSIONS = {
    "average_latency_ms": "sum(rate(agent_comm_latency_ms_sum[1m]))"
    " / sum(rate(agent_comm_latency_ms_count[1m]))",
    "memory_growth_mb_per_hour": "deriv(memory_usage_mb[10m]) * 3600",
    "memory_usage_mb": "memory_usage_mb",
    "cpu_utilization_percent": "cpu_utilization_percent",
    # Nothing has failed before the first failure, and then there is no such series.
    "delivery_success_percent": "100 * sum(rate(message_deliveries_total[1m]))"
    " / (sum(rate(message_deliveries_total[1m]))"
    " + (sum(rate(comm_failures_total[1m])) or vector(0)))",
    "active_agents": "active_connections",
}


def alert_rules(thresholds: Iterable[Threshold] = THRESHOLDS) -> str:
    """Return the rules as the YAML that Prometheus reads."""
    lines = ["groups:", "  - name: lhsim", "    rules:"]
    for threshold in thresholds:
        sign = ">" if threshold.above else "<"
        rule = f"{EXPRESSIONS[threshold.metric]} {sign} {threshold.limit:g}"
        summary = f"{threshold.metric} is {{{{ $value }}}}, {sign} {threshold.limit:g}"
        lines += [
            f"      - alert: {threshold.name}",
            f"        expr: {json.dumps(rule)}",  # a text of JSON is one of YAML
            f"        for: {threshold.lasting:g}s",
            "        labels:",
            f"          severity: {threshold.severity}",
            "        annotations:",
            f"          summary: {json.dumps(summary)}",
        ]
    return "\n".join(lines)
