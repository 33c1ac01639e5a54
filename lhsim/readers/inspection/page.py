"""An inspection as a short page of text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap

from lhsim.readers.inspection import arrivals, loops
from lhsim.readers.inspection.inspection import Inspection
from lhsim.units import format_duration

WIDTH = 100  # characters of a line
LABEL = 12


def page(found: Inspection) -> str:
    """Return what a log shows, a line or two for each thing."""
    lines = [f"{found.source} ({found.format})"]
    for label, text in _rows(found):
        first, *more = wrap(text, WIDTH - LABEL - 4) or [""]
        lines.append(f"  {label:<{LABEL}}  {first}")
        lines += [" " * (LABEL + 4) + one for one in more]
    return "\n".join(lines)


def _rows(found: Inspection) -> Iterator[tuple[str, str]]:
    clients = "clients unknown" if found.clients is None else _counted(found.clients, "client")
    yield (
        "requests",
        f"{found.requests:,} in {format_duration(found.span)}, {found.rate:.4g}/s; {clients}",
    )
    yield "response", _response(found)
    yield "loop", f"{found.loop.kind}: {found.loop.reason}"
    if found.loop.think is not None:
        yield "think time", _think(found)
    yield "arrivals", _arrivals(found)
    yield "under way", _under_way(found)
    yield "server", f"{found.saturation.kind}: {found.saturation.reason}"
    ties = f"; {100 * found.ties:.2g} % of the starts coincide" if found.ties else ""
    yield "clock", f"steps of {format_duration(found.clock_resolution)}{ties}"
    for label, texts in (("learns", found.learns), ("lacks", found.lacks), ("note", found.notes)):
        yield from ((label if number == 0 else "", text) for number, text in enumerate(texts))


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}" + ("s" if number != 1 else "")


def _response(found: Inspection) -> str:
    quantiles = ", ".join(
        f"p{100 * level:g} {format_duration(value)}"
        for level, value in found.response_quantiles.items()
    )
    low, high = format_duration(found.response_min), format_duration(found.response_max)
    return f"mean {format_duration(found.response_mean)}, {quantiles}; {low} to {high}"


def _think(found: Inspection) -> str:
    think = found.loop.think
    assert think is not None
    if think.kind == loops.NONE:
        text = f"none (mean {format_duration(think.mean)})"
    else:
        text = f"{think.kind}, mean {format_duration(think.mean)}, CV {think.cv:.2g}"
    return text if found.loop.kind == loops.CLOSED else f"if the loop is closed: {text}"


def _arrivals(found: Inspection) -> str:
    dispersion = found.dispersion
    if math.isnan(dispersion.index):
        return "unknown: too few requests, or too coarse a clock"
    text = f"{dispersion.kind}: index of dispersion {dispersion.index:.3g} in windows of "
    text += f"{format_duration(dispersion.window)}, of a Poisson process 1 \u00b1 "
    text += f"{dispersion.half_width:.2g}"
    if dispersion.kind == arrivals.BUNCHED:
        text += f"; requests come in clusters of about {dispersion.cluster:.2g}"
    beside, chance = dispersion.beside, dispersion.beside_by_chance
    return f"{text}; beside a request {beside:.2g} others start, by chance {chance:.2g} would"


def _under_way(found: Inspection) -> str:
    state = found.saturation
    text = f"{state.in_flight:.3g} requests in the mean, {state.throughput:.4g}/s end"
    if state.work is not None:
        text += (
            f"; {state.work:.3g} servers' work, at the response of a request that finds no other"
        )
    return text
