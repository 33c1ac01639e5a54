"""What both sides know of the protocol, without its libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Era = Literal["legacy", "modern"]
MODES: Mapping[Era, str] = {"legacy": "legacy", "modern": "2026-07-28"}  # as the SDK has them
ASKS = ": "  # between who asks and the question: the protocol has no other place for the former
