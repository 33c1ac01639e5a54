"""The alert rules: each threshold of the seed, in the form that Prometheus reads."""

from __future__ import annotations

import re

import pytest
import yaml

from lhsim.live.alerts import EXPRESSIONS, alert_rules
from lhsim.live.monitor import Monitor
from lhsim.live.settings import BridgeSettings
from lhsim.metrics import THRESHOLDS, Threshold

RULES = yaml.safe_load(alert_rules())


def test_the_file_has_the_form_that_prometheus_reads():
    assert set(RULES) == {"groups"}
    (group,) = RULES["groups"]
    assert set(group) == {"name", "rules"}
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[A-Za-z]\w*", rule["alert"])
        assert re.fullmatch(r"\d+s", rule["for"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert "{{ $value }}" in rule["annotations"]["summary"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) == len(THRESHOLDS)


@pytest.mark.parametrize(
    ("metric", "value", "warns", "alarms"),
    [  # the original proposal's list, on both sides of each limit
        ("average_latency_ms", 1000, False, False),
        ("average_latency_ms", 1001, True, False),
        ("average_latency_ms", 5001, True, True),
        ("memory_growth_mb_per_hour", 1000, False, False),
        ("memory_growth_mb_per_hour", 1001, True, False),
        ("memory_usage_mb", 5000, False, False),
        ("memory_usage_mb", 5001, False, True),
        ("cpu_utilization_percent", 70, False, False),
        ("cpu_utilization_percent", 71, True, False),
        ("delivery_success_percent", 95, False, False),
        ("delivery_success_percent", 94.9, True, False),
        ("delivery_success_percent", 89.9, True, True),
        ("active_agents", 500, False, False),
        ("active_agents", 501, True, False),
        ("active_agents", 801, True, True),
    ],
)
def test_the_thresholds_are_the_seeds_and_the_rules_have_them(metric, value, warns, alarms):
    broken = {one.severity for one in THRESHOLDS if one.metric == metric and one.broken_by(value)}
    assert ("warning" in broken, "critical" in broken) == (warns, alarms)
    # The end of an expression is the comparison that Prometheus makes.
    raised = set()
    for rule in RULES["groups"][0]["rules"]:
        left, sign, limit = re.fullmatch(r"(.*) ([<>]) ([\d.]+)", rule["expr"]).groups()
        if left == EXPRESSIONS[metric]:
            wrong = value > float(limit) if sign == ">" else value < float(limit)
            raised |= {rule["labels"]["severity"]} if wrong else set()
    assert raised == broken


def test_only_the_processor_has_to_be_busy_for_a_while():
    lasting = {rule["alert"]: rule["for"] for rule in RULES["groups"][0]["rules"]}
    assert lasting.pop("ProcessorBusy") == "60s"
    assert set(lasting.values()) == {"0s"}


def test_the_rules_ask_for_what_the_monitor_has():
    monitor = Monitor(BridgeSettings())
    for labelled in (monitor.latency, monitor.deliveries, monitor.failures):
        labelled.labels("x")
    page = monitor.page().decode()
    known = {line.partition("{")[0].partition(" ")[0] for line in page.splitlines()}
    asked = set(re.findall(r"\b[a-z_]+_(?:sum|count|total|mb|percent|connections)\b",
                           " ".join(EXPRESSIONS.values())))  # fmt: skip
    assert asked
    assert asked <= known


def test_another_threshold_is_another_rule():
    mine = Threshold("Mine", "critical", "memory_usage_mb", True, 12.5, lasting=30)
    (rule,) = yaml.safe_load(alert_rules([mine]))["groups"][0]["rules"]
    assert (rule["alert"], rule["expr"], rule["for"]) == ("Mine", "memory_usage_mb > 12.5", "30s")
