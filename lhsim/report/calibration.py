"""A calibration as text, 80 columns wide: how near it comes, what was found, what is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.report.text import UNKNOWN, Column, duration, live_figure, table, three_digits

WIDTH = 80
_TARGETS = (Column("level", left=True), Column("figure", left=True), Column("live"),
            Column("simulated"), Column("miss"))  # fmt: skip
_UNKNOWNS = (Column("unknown", left=True), Column("value"), Column("within a factor of", left=True))
_COMPONENTS = (Column("component", left=True), Column("samples"), Column("mean"),
               Column("of the fit"), Column("family", left=True), Column("KS"))  # fmt: skip
# What the unknowns are, and whether they are times.
MEANINGS = {
    "messages": ("factor of a message's costs", False),
    "requests": ("factor of a request's costs", False),
    "excess": ("warmth: a of 1 + a ln(1 + gap/g)", False),
    "gap": ("warmth: g", True),
    "memory": ("warmth: work that halves it", True),
    "delay": ("delay on both ways", True),
    "service": ("service time of a message", True),
    "after": ("of it, after over at the delivery", False),
    "variation": ("variation of a service", False),
    "work": ("processor time of a request", True),
    "cores": ("cores", False),
    "workers": ("loops", False),
    "quantum": ("slice of processor time", True),
    "run_to_run": ("factor from run to run", False),
}
_LATE = 1e-4  # median lag of a sender that is worth a word [s]
_BY_PRIOR = 0.5  # deviation of a logarithm from which on an unknown is hardly known


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low}-{high}"


def calibration_text(found: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> str:
    """Return the text; `found` is ``Calibrated.to_dict()``, `components` are rows of its fits."""
    agents, rates = found["agents"], found["messages_per_second"]
    of_clients = found["architecture"] == "requests"
    who, what = ("clients", "requests") if of_clients else ("agents", "messages")
    title = (
        f"{found['system']}: {found['architecture']}, calibrated on {found['runs']} runs at "
        f"{len(found['levels'])} loads, {_range(*(f'{end:,.0f}' for end in agents))} {who}, "
        f"{_range(*map(three_digits, rates))} {what}/s"
    )
    saturated = {level["level"] for level in found["levels"] if level["saturated"]}
    lines = [*wrap(title, WIDTH), "", table(_TARGETS, _targets(found["targets"], saturated))]
    lines += ["* saturated"] if saturated else []
    if "because" in found:
        lines += ["", *_black_box(found)]
    lines += ["", table(_UNKNOWNS, [_unknown(row) for row in found["unknowns"]])]
    if any(row["value"] and row["deviation"] > _BY_PRIOR for row in found["unknowns"]):
        lines += ["? hardly told by these runs: what is assumed of it beforehand decides"]
    lines += _memory(found.get("memory"))
    for sentence in found.get("warnings", ()):
        lines += ["", *wrap(f"warning: {sentence}", WIDTH)]
    lines += [""] * bool(found["collinear"])
    for pair in found["collinear"]:
        first, second = (MEANINGS[pair[key]][0] for key in ("first", "second"))
        sentence = (
            f"These runs cannot tell apart: {first}, and {second} "
            f"(correlation {pair['correlation']:+.2f})."
        )
        lines += wrap(sentence, WIDTH)
    for one in found.get("left_out", ()):
        sentence = (
            f"Left out: {one['agents']:,} agents, seed {one['seed']}: {'; '.join(one['doubts'])}."
        )
        lines += wrap(sentence, WIDTH)
    if components:
        lines += ["", components_text(components)]
    return "\n".join(lines)


def _memory(found: Mapping[str, float] | None) -> list[str]:
    if found is None:
        return []
    of_all, of_each = (f"{three_digits(value)}" for value in
                       (found["baseline"] / 1e6, found["of_an_agent"] / 1e3))  # fmt: skip
    sentence = f"Memory: {of_all} MB, and {of_each} kB for each agent with its connection."
    return ["", *wrap(sentence, WIDTH)]


def _request_box(found: Mapping[str, Any]) -> list[str]:
    """Return what request logs say of a server."""
    low, high = (None if end is None else three_digits(end) for end in found["capacity_interval"])
    capacity = (
        f"Capacity: at least {low} requests/s; no log shows how many more."
        if high is None
        else f"Capacity: {three_digits(found['capacity'])} requests/s (90 %: {low}-{high})."
    )
    sentences = [f"The server: {found['because']}.", capacity]
    return [line for sentence in sentences for line in wrap(sentence, WIDTH)]


def _black_box(found: Mapping[str, Any]) -> list[str]:
    """Return what logs alone say of a server."""
    if found["architecture"] == "requests":
        return _request_box(found)
    how = "pushed" if found["interval"] is None else f"polled every {duration(found['interval'])}"
    low, high = (None if end is None else three_digits(end) for end in found["capacity_interval"])
    value = "unknown" if found["capacity"] is None else three_digits(found["capacity"])
    unit = found["capacity_unit"]
    if high is None:
        capacity = f"Capacity: at least {low} {unit}; no log shows how many more."
    else:
        capacity = f"Capacity: {value} {unit} (90 %: {low}-{high})"
        capacity += "." if found["capacity_seen"] else "; no log is saturated: from delays alone."
    lags = [level["lag"] for level in found["levels"]]
    late = f"Delays count from the sending; its lag is not in them, {duration(max(lags))} at worst"
    sentences = [f"Messages are {how}: {found['because']}.", capacity]
    sentences += [f"{late} (median)."] if max(lags) >= _LATE else []
    return [line for sentence in sentences for line in wrap(sentence, WIDTH)]


def components_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the costs that were fitted to samples."""
    return table(
        _COMPONENTS,
        [
            [
                row["component"],
                f"{row['samples']:,}",
                duration(row["sample_mean_s"]),
                duration(row["mean_s"]),
                row["family"],
                f"{row['ks']:.3f}",
            ]
            for row in rows
        ],
    )


def _targets(targets: Sequence[Mapping[str, Any]], saturated: set[str]) -> list[list[str]]:
    rows, before = [], None
    for target in targets:
        level = target["level"]
        marked = level + ("*" if level in saturated else "")
        figures = [live_figure(target["metric"], target[side]) for side in ("live", "simulated")]
        name = "" if level == before else marked
        rows.append([name, target["metric"], *figures, f"{100 * target['miss']:+.1f} %"])
        before = level
    return rows


def _unknown(row: Mapping[str, Any]) -> list[str]:
    meaning, is_time = MEANINGS[row["name"]]
    if row["value"] is None:
        return [meaning, UNKNOWN, "as in the template"]
    value = duration(row["value"]) if is_time else three_digits(row["value"])
    known = f"{math.exp(row['deviation']):.2f}"
    return [meaning, value, known + (" ?" if row["deviation"] > _BY_PRIOR else "")]
