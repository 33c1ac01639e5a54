"""What each stage of the bridge took: off by default, since even a clock costs something."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lhsim._files import replace

if TYPE_CHECKING:
    import pandas as pd

STAGES = ("loop_wait", "parse", "query", "write", "thread_hop", "validate", "send")
Stage = Literal["loop_wait", "parse", "query", "write", "thread_hop", "validate", "send"]
KEPT = 200_000  # the latest of each stage


class StageTimes:
    """The latest times of each stage, in rings: memory has an end however long the bridge runs."""

    def __init__(self, kept: int = KEPT) -> None:
        self._rings: dict[str, deque[float]] = {stage: deque(maxlen=kept) for stage in STAGES}

    def add(self, stage: Stage, seconds: float) -> None:
        """Keep what a stage took [s]."""
        self._rings[stage].append(seconds)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each time that is kept: columns ``component`` and ``seconds``."""
        import pandas as pd  # noqa: PLC0415 - a bridge that keeps no times needs none of it

        rings = {stage: list(ring) for stage, ring in self._rings.items()}
        rows = [(stage, seconds) for stage, ring in rings.items() for seconds in ring]
        frame = pd.DataFrame(rows, columns=["component", "seconds"])
        return frame.astype({"component": "str", "seconds": "float64"})

    def write(self, path: Path) -> None:
        """Write the table to a file .parquet or .csv, whole or not at all."""
        frame = self.to_frame()
        write = frame.to_csv if path.suffix == ".csv" else frame.to_parquet
        replace(path, lambda temporary: write(temporary, index=False))
