"""Tables as a workbook for Excel, for which openpyxl has to be installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from lhsim._files import expanded, replace
from lhsim.errors import InputError, shortened
from lhsim.experiments.extras import check_extra

MOST_ROWS = 1_048_575  # of a sheet, below its header
LONGEST_TEXT = 32_767  # characters of a cell
EXACT = 2**53  # a larger whole number, such as a seed, would lose digits


def write_excel(path: str | PathLike[str], sheets: Mapping[str, pd.DataFrame]) -> None:
    """Write tables as the sheets of a workbook, whole or not at all.

    A text is a text, also where Excel would take it for a formula.

    Raises
    ------
    InputError
        When openpyxl is missing, a table has too many rows, or the file cannot be written.
    """
    check_extra(("openpyxl",), extra="excel", command="to_excel")
    found = expanded(path)
    for name, table in sheets.items():
        if len(table) > MOST_ROWS:
            problem = f"{name} has {len(table):,} rows"
            raise InputError(problem, source=str(found), allowed=f"at most {MOST_ROWS:,}")
    try:
        replace(found, lambda part: _write(part, sheets))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(found)) from None


def _write(path: Path, sheets: Mapping[str, pd.DataFrame]) -> None:
    # By an open file: pandas looks at the ending of a name, and this one is temporary.
    with path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as writer:
        for name, table in sheets.items():
            table.astype(object).map(_cell).to_excel(writer, sheet_name=name, index=False)
            for row in writer.sheets[name].iter_rows():
                for cell in row:
                    if cell.data_type == "f":
                        cell.data_type = "s"


def _cell(value: Any) -> Any:
    """Return a value as a cell can hold it: a list or a table as JSON."""
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, default=str)
    if isinstance(value, str):
        return shortened(value, LONGEST_TEXT)
    is_huge = isinstance(value, int) and abs(value) > EXACT
    return str(value) if is_huge else value
