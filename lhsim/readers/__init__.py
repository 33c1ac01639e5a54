"""Readers of what others have measured: one module for each format.

Each says where its format is described, what the format stamps, in which unit, and what it cannot
tell. Beneath them `text` opens compressed and oddly encoded files, and `tables` reads CSV and
Parquet; `columns` turns their columns into numbers, times and names. What a cell holds is read as
what it is, or refused in one line with the file, the line and the column: nothing is guessed.
"""

from __future__ import annotations

from pathlib import Path

PACKED = ("", ".gz", ".bz2", ".xz", ".zst")
TABLES = (".parquet", *(kind + packed for kind in (".csv", ".tsv") for packed in PACKED))


def is_table(path: Path) -> bool:
    """Return whether a file is called as a table is."""
    return path.name.lower().endswith(TABLES)
