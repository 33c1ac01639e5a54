"""Malformed contents: what editors, other programs, broken disks and attackers make of a file.

Each function changes a content by a `random.Random`, so that a seed names a file for good.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from random import Random

import numpy as np
import pandas as pd

TOKEN = re.compile(rb"-?\d[\d.eE+-]*|\"[^\"\n]*\"|'[^'\n]*'|true|false|null")

# Values that something further on may not be able to hold. `canary:Canary` is a module whose import
# leaves a trace (`files.CANARY`).
EXTREMES = (
    *(b"0", b"-1", b"1", b"2", b"1e308", b"-1e308", b"5e-324", b"1e999", b"inf", b"-inf", b"nan"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"NaN"),
    *(b"1" + b"0" * 400, b"1" + b"0" * 5000, b"0.1e", b"0x10", b"1_000", b"1,5", b"true", b"false"),
    *(b"null", b"[]", b"{}", b'""', b'" "', b'"NA"', b'"1 parsec"', b'"50 ms"', b'"1e400 s"'),
    *(b'"50"', b'"canary:Canary"', b'"canary"', b'"os:system"', b'"../../etc/passwd"'),
    *(b'"/dev/zero"', b'"~"', b'"~nobody-there"', b'"\\ud800"', b'"\\u0000"', b'"\\u001b[2J"'),
    *(b'"' + b"a" * 100_000 + b'"', b"2026-01-01", b'"2026-01-01T00:00:00Z"', b"1700000000000"),
    *(b"1700000000000000000", "\u0663".encode(), '"\u202e"'.encode(), b'"a\\nb"'),
    *(b'"<script>alert(1)</script>"', b'"=cmd()"', b"[[[[[[]]]]]]"),
)
FRAGMENTS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xed\xa0\x80", b"\r", b"\n", b"\n\n", b"\t"),
    *(b'"', b"'", b"[", b"]", b"{", b"}", b"=", b",", b";", b"#", b"\\", b"\x1b[31m", b"[" * 3000),
    *(b"{" * 3000, b'{"a":' * 3000, b"a." * 3000, b"[[calibration]]\n", b"[canary]\n"),
    b"canary = 1\n",
)

Change = Callable[[bytes, Random], bytes]


def mutated(content: bytes, random: Random) -> bytes:
    """Return a content with one to four changes."""
    for _ in range(random.randint(1, 4)):
        content = random.choice(CHANGES)(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    return random.randint(0, len(content))


def other_token(content: bytes, random: Random) -> bytes:
    """Replace a number or a text by an extreme one."""
    found = [*TOKEN.finditer(content)]
    if not found:
        return content
    one = random.choice(found)
    return content[: one.start()] + random.choice(EXTREMES) + content[one.end() :]


def flipped(content: bytes, random: Random) -> bytes:
    """Change a few bytes."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 8) if changed else 0):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def cut(content: bytes, random: Random) -> bytes:
    """Leave out the end."""
    return content[: _place(content, random)]


def without_a_part(content: bytes, random: Random) -> bytes:
    """Leave out a part."""
    begin, end = sorted((_place(content, random), _place(content, random)))
    return content[:begin] + content[min(end, begin + 200) :]


def with_a_fragment(content: bytes, random: Random) -> bytes:
    """Put something between two bytes."""
    place = _place(content, random)
    return content[:place] + random.choice(FRAGMENTS) + content[place:]


def other_lines(content: bytes, random: Random) -> bytes:
    """Leave out a line, write it twice, or exchange it with another."""
    lines = content.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    what = random.randrange(3)
    if what == 0:
        del lines[one]
    elif what == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def other_encoding(content: bytes, random: Random) -> bytes:
    """Write it as other programs do."""
    text = content.decode("utf-8", "replace")
    return random.choice(
        [
            lambda: text.replace("\n", "\r\n").encode(),
            lambda: text.replace("\n", "\r").encode(),
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-8-sig"),
            lambda: text.replace("a", "é").encode("latin-1", "replace"),
            lambda: text.replace(",", ";").encode(),
            lambda: text.replace(",", "\t").encode(),
            lambda: gzip.compress(content),
            lambda: b"",
        ]
    )()


CHANGES: tuple[Change, ...] = (
    *(other_token,) * 6,
    *(with_a_fragment, other_lines) * 2,
    flipped,
    cut,
    without_a_part,
    other_encoding,
)


def mutated_table(table: pd.DataFrame, random: Random) -> pd.DataFrame:
    """Return a table with one to three of its columns changed in their values or their type."""
    table = table.copy()
    for _ in range(random.randint(1, 3)):
        column = random.choice([*table.columns])
        table = random.choice(COLUMN_CHANGES)(table, column, random)
        if not len(table.columns):
            break
    return table


def as_parquet(table: pd.DataFrame) -> bytes | None:
    """Return a table as a Parquet file; None where Parquet cannot hold it."""
    file = io.BytesIO()
    try:
        table.to_parquet(file)
    except Exception:  # pyarrow has a dozen kinds of refusals
        return None
    return file.getvalue()


def _with(values: Callable[[pd.Series, Random], object]) -> Callable[..., pd.DataFrame]:
    def change(table: pd.DataFrame, column: str, random: Random) -> pd.DataFrame:
        try:
            return table.assign(**{str(column): values(table[column], random)})
        except Exception:  # what pandas cannot make of an earlier change
            return table

    return change


def _constant(column: pd.Series, random: Random) -> object:
    return random.choice([0.0, -1.0, 1e-300, 1e300, np.inf, np.nan, -0.0, 1, 2**62])


def _one_value(column: pd.Series, random: Random) -> object:
    found = column.astype(object).copy()
    if len(found):
        extremes = [np.nan, np.inf, -np.inf, -1.0, 1e308, 0.0, 5e-324, 2**63, None]
        found.iloc[random.randrange(len(found))] = random.choice(extremes)
    return pd.to_numeric(found, errors="coerce")


COLUMN_CHANGES: tuple[Callable[..., pd.DataFrame], ...] = (
    _with(_constant),
    _with(_one_value),
    _with(lambda column, random: column.astype(float) * random.choice([-1, 1e3, 1e9, 1e-9, 1e300])),
    _with(lambda column, random: column.astype(float) + random.choice([1.7e9, 1.7e12, -1e6, 1e17])),
    _with(lambda column, random: column.astype(float).round(random.choice([0, 1, 3, -2]))),
    _with(lambda column, random: pd.to_datetime(column.astype(float), unit="s", errors="coerce")),
    _with(lambda column, random: pd.to_timedelta(column.astype(float), unit="s")),
    _with(lambda column, random: column.astype(float) > 0),
    _with(lambda column, random: column.astype(str)),
    _with(lambda column, random: column.astype(str).astype("category")),
    _with(lambda column, random: column.astype(str).str.replace(".", ",")),
    _with(lambda column, random: [[1, 2]] * len(column)),
    _with(lambda column, random: [{"a": 1}] * len(column)),
    _with(lambda column, random: [None] * len(column)),
    _with(lambda column, random: [b"\xff"] * len(column)),
    _with(lambda column, random: column.iloc[::-1].to_numpy()),
    _with(lambda column, random: ["NA", *map(str, column.iloc[1:])] if len(column) else column),
    lambda table, column, random: table.drop(columns=column),
    lambda table, column, random: table.rename(columns={column: random.choice(["", "x", "a.b"])}),
    lambda table, column, random: table.iloc[: random.choice([0, 1, 2, 10])],
    lambda table, column, random: pd.concat([table, table]),
    lambda table, column, random: table.sample(frac=1, random_state=random.randrange(1000)),
    lambda table, column, random: pd.concat([table, table[[column]]], axis=1),
)
