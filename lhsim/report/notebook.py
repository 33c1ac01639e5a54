"""What a notebook shows of an answer: a headline, sentences and a table, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60  # of a table


def card(headline: str, sentences: Sequence[str] = (), frame: pd.DataFrame | None = None) -> str:
    """Return HTML: a headline, a list of sentences, and a table of at most `MOST_ROWS` rows."""
    parts = [f"<b>{escape(headline)}</b>"]
    if sentences:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        parts.append(f"<ul>{items}</ul>")
    if frame is not None:
        parts.append(frame.head(MOST_ROWS).to_html(index=False, float_format=_number, border=0))
        if len(frame) > MOST_ROWS:
            parts.append(f"<p>and {len(frame) - MOST_ROWS:,} rows more</p>")
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.4g}"
