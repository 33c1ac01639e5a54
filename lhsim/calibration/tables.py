"""Tables that others have measured, as CSV or Parquet, with what is wrong with them in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lhsim.errors import InputError

SUFFIXES = (".csv", ".parquet")


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return these columns of a file.

    Raises
    ------
    InputError
        When it cannot be read or a column is missing.
    """
    allowed = f"a CSV or Parquet file with the columns {', '.join(columns)}"
    if path.suffix not in SUFFIXES:
        raise InputError("ends in neither .csv nor .parquet", source=str(path), allowed=allowed)
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except OSError as error:
        reason = error.strerror or "is no Parquet file"
        raise InputError(reason, source=str(path), allowed=allowed) from None
    except ValueError:  # of pandas and of pyarrow
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        raise InputError(f"is no {kind} file", source=str(path), allowed=allowed) from None
    table.columns = table.columns.astype(str).str.strip()
    for column in columns:
        if column not in table:
            raise InputError("is missing", source=str(path), key=column, allowed=allowed)
    return table.loc[:, list(columns)]


def numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series[float]:
    """Return a column of times [s]; NaN where a field is empty.

    Raises
    ------
    InputError
        When it holds other than numbers, with the first line that does.
    """
    found = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = np.flatnonzero((found.isna() & table[column].notna()) | np.isinf(found))
    if len(wrong):
        shown = str(table[column].iloc[wrong[0]])[:40]
        problem = f"{place(path, int(wrong[0]))}{shown!r} is no number"
        raise InputError(problem, source=str(path), key=column, allowed="seconds")
    return found


def place(path: Path, row: int) -> str:
    """Return where a row stands in its file, from 0 on, to begin a problem with."""
    return f"line {row + 2}: " if path.suffix == ".csv" else f"row {row}: "
