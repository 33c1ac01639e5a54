"""The page as one HTML file that needs nothing besides itself, over a server or over kept answers.

Its plotting library, uPlot, stands in the folder ``vendor`` with its licence. The page forbids its
reader's browser to load or run anything else, and may ask its own server alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lhsim.explore import kept, state
from lhsim.explore.answers import Answers, Part
from lhsim.explore.state import Candidate, State

DIGITS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # of the numbers that a slider stops at
SLIDERS = (
    ("agents", "Agents", "They exchange messages through one server."),
    ("interval", "Polling interval", "Sleep between two polls."),
    ("rate", "Messages of each agent", "How often an agent sends one."),
    ("connections", "Connections", "Most at a time; the server refuses those beyond."),
)


def stops(least: float, most: float) -> list[float]:
    """Return numbers of few digits from `least` to `most`, ten to each power of ten."""
    found = (float(f"{digit}e{power}") for power in range(-4, 7) for digit in DIGITS)
    return [one for one in found if least <= one <= most]


def live_page(known: Mapping[str, Candidate], chosen: Sequence[str], version: str) -> str:
    """Return the page over a server, which shows the systems `chosen` at first."""
    ranges = {
        "agents": (10, state.AGENTS[1]),
        "interval": state.INTERVAL,
        "rate": state.RATE,
        "connections": (10, state.AGENTS[1]),
    }
    values = {name: stops(*ends) for name, ends in ranges.items()}
    return _page(known, State(tuple(chosen)), version, {"stops": values, "kept": None})


def kept_page(answers: Answers, found: Mapping[str, Part], version: str) -> str:
    """Return the page over the answers that `lhsim.explore.kept.keep` has found."""
    values = {name: [one for one in some if one is not None] for name, some in
              kept.settings(answers).items()}  # fmt: skip
    values |= {"agents": list(kept.AGENTS), "connections": []}
    start = State(tuple(answers.known))
    return _page(answers.known, start, version, {"stops": values, "kept": found})


def _page(
    known: Mapping[str, Candidate], start: State, version: str, more: Mapping[str, Any]
) -> str:
    environment = Environment(
        loader=PackageLoader("lhsim.explore"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    objectives = kept.OBJECTIVES if more["kept"] else None
    data = {
        "systems": [_described(one) for one in known.values()],
        "start": start.link,
        "objectives": objectives,
        **more,
    }
    templates, vendor = Path(__file__).parent / "templates", Path(__file__).parent / "vendor"
    licence = f"/*\n{_text(vendor / 'LICENSE')}*/\n"
    scripts = [licence + _text(vendor / "uPlot.iife.min.js"), _text(templates / "explore.js")]
    styles = [licence + _text(vendor / "uPlot.min.css"), _text(templates / "explore.css")]
    return environment.get_template("explore.html").render(
        data=Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c")),
        digests=Markup(" ".join(f"'sha256-{_digest(one)}'" for one in scripts)),
        kept=objectives,
        scripts=[Markup(one) for one in scripts],
        sliders=SLIDERS,
        styles=Markup("\n".join(styles)),
        version=version,
    )


def _described(candidate: Candidate) -> dict[str, Any]:
    """Return a system as the sliders need it; None for what it has not."""
    return {
        "name": candidate.name,
        "description": candidate.system.description,
        "interval": candidate.interval,
        "rate": candidate.rate,
        "connections": candidate.connections,
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return the digest by which a browser knows a script that it may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
