"""Messages as a trace that Perfetto and Chrome show (Trace Event Format, complete events).

Each message is a track; on it lie the whole of its way and, below, the stretches of that. Times are
in microseconds, as the format has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MICRO = 1e6  # in a second
PROCESS = 1


def events_of(messages: pd.DataFrame, timeline: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the events of the messages that lead their table, by the stretches of their ways."""
    found = list(_names(messages))
    times = zip(messages["created"], messages["delivered"], strict=True)
    found += [_event(row, "message", *each) for row, each in enumerate(times)]
    shown = timeline[timeline["message"] < len(messages)]
    stretches = (shown[name] for name in ("message", "name", "start", "end"))
    return found + [_event(*each) for each in zip(*stretches, strict=True)]


def _names(messages: pd.DataFrame) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": PROCESS, "name": "process_name", "args": {"name": "messages"}}
    for row, one in enumerate(messages.itertuples(index=False)):
        name = f"agent {one.sender}, message {one.number}, to {one.target}"
        yield {"ph": "M", "pid": PROCESS, "tid": row, "name": "thread_name", "args": {"name": name}}


def _event(track: int, name: str, start: float, end: float) -> dict[str, Any]:
    times = {"ts": start * MICRO, "dur": (end - start) * MICRO}
    return {"ph": "X", "pid": PROCESS, "tid": int(track), "name": name, **times}
