"""Tables in many dialects and types: read as what they are, or refused with the place."""

from __future__ import annotations

import decimal
import gzip
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim.errors import InputError
from lhsim.readers import tables
from lhsim.readers.tables import read_table

SECONDS = [5.0, 5.25, 6.0009, 7.5]
START = pd.Timestamp("2026-03-01T09:00:00")
STAMPS = [START + pd.Timedelta(second, unit="s") for second in SECONDS]


def parquet(tmp_path, values, name="at_s", kind=None):
    path = tmp_path / "table.parquet"
    values = values if isinstance(values, pa.Array) else pa.array(values, kind)
    pq.write_table(pa.table({name: values}), path)
    return read_table(path, ["at_s"])


def csv(tmp_path, cells, name="at_s"):
    path = tmp_path / "table.csv"
    path.write_text("\n".join([f"{name};x", *(f"{cell};" for cell in cells)]))
    return read_table(path, ["at_s"])


# --- dialects ------------------------------------------------------------------------------------


@st.composite
def dialects(draw):
    decimal_comma = draw(st.booleans())
    return {
        "sep": draw(st.sampled_from(";\t|" if decimal_comma else ",;\t|")),
        "decimal": "," if decimal_comma else ".",
        "lineterminator": draw(st.sampled_from(["\n", "\r\n"])),
        "quoting": draw(st.sampled_from([0, 1])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])),
    }


names_of_agents = st.sampled_from(["NA", "null", "nan", "None", "7", "007", "a;b", 'q"', "é", "#1"])


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=1, max_size=8),
    dialect=dialects(),
    above=st.sampled_from(["", "# made by a tool\n", "\n\n"]),
    data=st.data(),
)
def test_a_table_says_the_same_in_every_dialect(tmp_path_factory, seconds, dialect, above, data):
    agents = data.draw(st.lists(names_of_agents, min_size=len(seconds), max_size=len(seconds)))
    # A value below 1 shows what a comma means.
    frame = pd.DataFrame({"at_s": [*seconds, 0.5], "agent": [*agents, "last"]})
    path = tmp_path_factory.mktemp("table") / "table.csv"
    encoding = dialect.pop("encoding")
    path.write_bytes((above + frame.to_csv(index=False, **dialect)).encode(encoding))
    table = read_table(path, ["agent", "at_s"])
    (found,) = table.times("at_s")
    (expected,) = _table_of(frame, tmp_path_factory).times("at_s")
    assert found.tolist() == expected.tolist()
    names, index = table.names("agent")
    assert [names[one] for one in index] == [*agents, "last"]


def _table_of(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    frame.to_parquet(path)
    return read_table(path, ["at_s"])


@pytest.mark.parametrize(
    "cells",
    [
        ["5,0", "5,25", "6,0009", "7,5"],
        ["5.0 s", "5250ms", "6000900 us", "7.5s"],
        ["0 days 00:00:05", "0 days 00:00:05.25", "0 days 00:00:06.000900", "0:00:07,5"],
        ["00:00:05", "00:00:05.250", "00:00:06.0009", "00:00:07.5"],
        [" 5.0", "+5.25 ", "60009e-4", "7.5"],
    ],
    ids=str,
)
def test_texts_of_times_are_read_as_what_they_are(tmp_path, cells):
    (found,) = csv(tmp_path, cells).times("at_s")
    assert found == pytest.approx(SECONDS, rel=1e-12)


@pytest.mark.parametrize(
    "cells",
    [["5,125", "5,250"], ["1,234", "2,345", "12,345"], ["5.000", "5,125"]],
    ids=str,
)
def test_a_comma_that_may_mean_either_is_refused(tmp_path, cells):
    with pytest.raises(InputError, match=r"line \d: '\d+,\d+' may be thousands or a decimal comma"):
        csv(tmp_path, cells).times("at_s")


@pytest.mark.parametrize(
    "cell", ["1.234,5", "1,234.5", "1 234.5", "1'234", "1_000", "0x10", "\u0661"]
)
def test_thousands_separators_are_refused(tmp_path, cell):
    with pytest.raises(InputError, match=r"table\.csv: at_s: line 3: .* is no number"):
        csv(tmp_path, ["0,5" if "," in cell else "0.5", cell]).times("at_s")


def test_what_stands_above_the_columns_is_passed_over_and_counted(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("sep=;\n# a comment\n\nat_s;x\n1,5;\n\nsoon;\n")
    with pytest.raises(InputError, match=r"at_s: line 7: 'soon' is no number"):
        read_table(path, ["at_s"]).times("at_s")


def test_a_line_is_counted_though_fields_have_several(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('x,at_s\n"two\nlines",1\n\n"more\n\nlines",soon\n')
    with pytest.raises(InputError, match=r"at_s: line 7: 'soon' is no number"):
        read_table(path, ["at_s"]).times("at_s")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("1,2\n3,4\n", "at_s: is missing"),
        ("at_s,at_s\n1,2\n", "at_s: stands there 2 times"),
        ("at_ms,at_us\n1,2\n", "at_s: stands there 2 times: at_ms, at_us"),
        ("at_s,x\n1,2\n3\n", "line 3 has 1 fields, but there are 2 columns"),
        ("at_s,x\n1,2\n\n1,2,3\n", "line 4 has 3 fields, but there are 2 columns"),
        ("at_s,x\n0,5,2\n", "line 2 has 3 fields, but there are 2 columns"),
        ('at_s,x\n1,2\n2,"3\n4,5\n6,7\n', "line 3 has a quote that is not closed"),
        ('sep="\nat_s,x\n1,2\n', "at_s: is missing"),
    ],
)
def test_rows_and_names_that_do_not_fit_are_refused(tmp_path, content, said):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_table(path, ["at_s"])
    assert said in str(caught.value)
    assert "a CSV or Parquet file with the columns at_s" in str(caught.value)


def test_a_quote_within_a_name_is_no_defect(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('at_s,x\n1,5" disk\n2,"a ""b"\n')
    assert read_table(path, ["x"]).names("x")[0] == ['5" disk', 'a "b']


def test_a_column_that_stands_there_twice_is_refused_in_parquet_too(tmp_path):
    path = tmp_path / "table.parquet"
    columns = [pa.array([1.0]), pa.array([2.0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["at_s", "at_s "]), path)
    with pytest.raises(InputError, match="stands there 2 times"):
        read_table(path, ["at_s"])


@pytest.mark.parametrize("name", ["table.csv.gz", "TABLE.CSV", "table.tsv", "table.tsv.gz"])
def test_a_table_is_known_by_its_name(tmp_path, name):
    raw = b"x\tat_s\n\t1.5\n"
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert read_table(tmp_path / name, ["at_s"]).times("at_s")[0].tolist() == [1.5]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='at_s,;\n"0.5-:TZ# é', max_size=200), st.data())
def test_garbage_is_refused_and_nothing_else_is_raised(tmp_path_factory, content, data):
    raw = b"at_s,x\n" + (content if isinstance(content, bytes) else content.encode())
    path = tmp_path_factory.mktemp("garbage") / "table.csv"
    path.write_bytes(raw)
    damaged = path.with_suffix(".parquet")
    stamps = pa.array(STAMPS)
    pq.write_table(
        pa.table({"at_s": stamps, "x": pa.array(["a"] * 4).dictionary_encode()}), damaged
    )
    spoiled = bytearray(damaged.read_bytes())
    for _ in range(3):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(spoiled)
    for table in (path, damaged):
        for read in ("times", "durations", "names", "whole_numbers", "days"):
            try:
                getattr(read_table(table, ["at_s", "x"]), read)("at_s")
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017 - that it is refused is not asked


def test_a_path_may_be_a_text_and_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "table.csv").write_text("at_s,x\n1.5,\n")
    assert read_table("~/table.csv", ["at_s"]).times("at_s")[0].tolist() == [1.5]


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_are_seconds_from_the_first_second(tmp_path, unit, zone):
    values = pa.array(STAMPS, pa.timestamp("ns")).cast(pa.timestamp(unit), safe=False)
    if zone:
        values = values.cast(pa.timestamp(unit, zone))
    (found,) = parquet(tmp_path, values).times("at_s")
    step = 1e-3 if unit == "ms" else 1e-12
    assert found == pytest.approx(np.subtract(SECONDS, 5.0), abs=step)


@pytest.mark.parametrize(
    "form",
    ["{}", "{}Z", "{}+01:00", "{} +0100", "{} UTC"],
)
@pytest.mark.parametrize("mark", [".", ","])
def test_timestamps_as_text_are_read(tmp_path, form, mark):
    cells = [form.format(str(one).replace(".", mark)) for one in STAMPS]
    (found,) = csv(tmp_path, cells).times("at_s")
    assert found == pytest.approx(np.subtract(SECONDS, 5.0), abs=1e-9)


def test_durations_are_read_in_every_unit(tmp_path):
    for unit in ("ms", "us", "ns"):
        values = pa.array(pd.to_timedelta(SECONDS, unit="s")).cast(pa.duration(unit), safe=False)
        found = parquet(tmp_path, values).durations("at_s")
        assert found == pytest.approx(SECONDS, abs=1.1e-3 * (unit == "ms"))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(SECONDS, pa.float32()),
        pa.array([decimal.Decimal(str(one)) for one in SECONDS]),
        pa.array(SECONDS).dictionary_encode(),
        pa.array([str(one) for one in SECONDS], pa.large_string()),
        pa.array([str(one) for one in SECONDS]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_numbers_are_read_however_they_are_stored(tmp_path, values):
    assert parquet(tmp_path, values).durations("at_s") == pytest.approx(SECONDS, rel=1e-6)


@pytest.mark.parametrize(("name", "factor"), [("at_ms", 1e3), ("at_us", 1e6), ("at_ns", 1e9)])
def test_a_unit_in_the_name_of_a_column_is_read(tmp_path, name, factor):
    values = [factor * one for one in SECONDS]
    assert parquet(tmp_path, values, name).durations("at_s") == pytest.approx(SECONDS, rel=1e-12)
    assert csv(tmp_path, values, name).durations("at_s") == pytest.approx(SECONDS, rel=1e-12)


def test_nanoseconds_since_1970_lose_no_digits(tmp_path):
    begin = 1_772_355_600_000_000_000
    table = parquet(tmp_path, [begin, begin + 7, begin + 2**54 + 1], "at_ns")
    (found,) = table.times("at_s")
    assert found.tolist() == [0.0, 7e-9, (2**54 + 1) / 1e9]


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_a_clock_in_a_smaller_unit_is_never_taken_for_seconds(tmp_path, unit, factor):
    values = [round(factor * (1_772_355_600 + one)) for one in SECONDS]
    for table in (parquet(tmp_path, values), csv(tmp_path, values)):
        with pytest.raises(InputError, match=f"more than 3,000 years .* in _{unit}"):
            table.times("at_s")


def test_columns_of_different_kinds_are_not_compared(tmp_path):
    path = tmp_path / "table.parquet"
    stamps = pa.array(STAMPS)
    zoned = stamps.cast(pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"a_s": SECONDS, "b_s": stamps, "c_s": zoned}), path)
    table = read_table(path, ["a_s", "b_s", "c_s"])
    with pytest.raises(InputError, match="b_s: holds timestamps without a time zone, and a_s"):
        table.times("a_s", "b_s")
    with pytest.raises(InputError, match="c_s: holds timestamps with a time zone, and b_s"):
        table.times("b_s", "c_s")


def test_columns_of_one_clock_have_one_origin(tmp_path):
    path = tmp_path / "table.parquet"
    later = [one + pd.Timedelta(2, unit="ms") for one in STAMPS]
    pq.write_table(pa.table({"a_s": pa.array(later), "b_s": pa.array(STAMPS)}), path)
    one, other = read_table(path, ["a_s", "b_s"]).times("a_s", "b_s")
    assert one - other == pytest.approx(2e-3, abs=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        [True, False],
        pa.array([True, False]).dictionary_encode(),
        [[1.0], [2.0]],
        [{"a": 1.0}, {"a": 2.0}],
        [b"1", b"2"],
        [date(2026, 3, 1)] * 2,
        ["True", "False"],
        ["2026-03-01T09:00:00Z", "2026-03-01T09:00:00"],
        ["2026-13-01T09:00:00Z"] * 2,
        ["01.03.2026 09:00", "01.03.2026 09:01"],
        ["1.5", "1.5 s"],
        ["1.5", "inf"],
        [1.5, float("inf")],
        [float("-inf"), 1.5],
        pa.array([2**63, 1], pa.uint64()),
        ["1e400", "1"],
        ["1e400 s", "1 s"],
        ["9" * 400 + ":00:00"],
        ["soon", "later"],
    ],
    ids=str,
)
def test_what_is_neither_a_number_nor_a_time_is_refused_in_a_line(tmp_path, values):
    table = parquet(tmp_path, values)
    for read in (table.times, table.durations):
        with pytest.raises(InputError) as caught:
            read("at_s")
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / 'table.parquet'}: at_s: ")
        assert "\n" not in text
        assert "allowed: " in text


def test_dates_are_no_durations(tmp_path):
    with pytest.raises(InputError, match=r"line 3: '1772355600\.5' is no duration, but a date"):
        csv(tmp_path, ["0.5", "1772355600.5"]).durations("at_s")
    with pytest.raises(InputError, match="holds timestamps without a time zone, no durations"):
        parquet(tmp_path, STAMPS).durations("at_s")
    with pytest.raises(InputError, match="holds timestamps without a time zone, no durations"):
        csv(tmp_path, STAMPS).durations("at_s")


@pytest.mark.parametrize("missing", ["", "NA", "nan", "null", "-", "\\N", "NaT"])
def test_empty_cells_of_times_are_nan(tmp_path, missing):
    (found,) = csv(tmp_path, ["1.5", missing, "2"]).times("at_s")
    assert np.isnan(found).tolist() == [False, True, False]
    (found,) = csv(tmp_path, [missing, missing]).times("at_s")
    assert np.isnan(found).all()


# --- names, whole numbers, dates -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["NA", "null", "007", "7", "nan"], ["NA", "null", "007", "7", "nan"]),
        ([2**53, 2**53 + 1, 2**53], ["9007199254740992", "9007199254740993"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        ([7.0, 8.0, 7.0], ["7", "8"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b"]),
    ],
    ids=str,
)
def test_names_stay_what_they_are(tmp_path, values, names):
    assert parquet(tmp_path, values).names("at_s")[0] == names


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a", ""], "row 1: is empty"),
        (["a", None], "row 1: is empty"),
        ([7.0, float("nan")], "row 1: is empty"),
        ([7.0, 7.5], "row 1: '7.5' is no whole number"),
        ([[1], [2]], "holds lists or records, no names"),
        ([True], "holds true and false, no names"),
        (STAMPS, "holds timestamps, no names"),
        ([b"x"], "holds bytes, no names"),
    ],
    ids=str,
)
def test_what_is_no_name_is_refused(tmp_path, values, said):
    with pytest.raises(InputError, match=said):
        parquet(tmp_path, values).names("at_s")


def test_whole_numbers_are_read(tmp_path):
    assert csv(tmp_path, ["8000", "8000.0", "0"]).whole_numbers("at_s").tolist() == [8000, 8000, 0]
    assert parquet(tmp_path, [8000.0, 1.0]).whole_numbers("at_s").tolist() == [8000, 1]


@pytest.mark.parametrize("cell", ["8.000", "8,000", "-1", "1.5", "", "many", "9" * 30, "1e3"])
def test_what_may_be_another_number_is_no_whole_one(tmp_path, cell):
    with pytest.raises(InputError, match=r"table\.csv: at_s: line 2: "):
        csv(tmp_path, [cell]).whole_numbers("at_s")


@pytest.mark.parametrize("values", [[True], [-1], [1.5], [float("nan")], [None]], ids=str)
def test_whole_numbers_of_parquet_are_checked_too(tmp_path, values):
    with pytest.raises(InputError, match="at_s: "):
        parquet(tmp_path, values).whole_numbers("at_s")


def test_dates_are_read(tmp_path):
    days = [date(2027, 1, 31), date(2027, 2, 1)]
    assert csv(tmp_path, ["2027-01-31", "2027-02-01 00:00:00"]).days("at_s") == days
    assert parquet(tmp_path, days).days("at_s") == days
    assert parquet(tmp_path, [pd.Timestamp(day) for day in days]).days("at_s") == days


@pytest.mark.parametrize("cell", ["31.01.2027", "01/31/2027", "2027-02-30", "", "2027-01-31 08:00"])
def test_what_is_no_date_is_refused(tmp_path, cell):
    with pytest.raises(InputError, match=r"table\.csv: at_s: line 2: "):
        csv(tmp_path, [cell]).days("at_s")


@pytest.mark.parametrize("values", [[20270131], STAMPS, [True]], ids=str)
def test_dates_of_parquet_are_checked_too(tmp_path, values):
    with pytest.raises(InputError, match="at_s: "):
        parquet(tmp_path, values).days("at_s")


@pytest.mark.parametrize("as_category", [False, True])
def test_a_long_text_that_repeats_in_a_small_file_does_not_fill_the_memory(
    monkeypatch, tmp_path, as_category
):
    monkeypatch.setattr(tables, "MOST_TEXT", 1e6)
    names = pd.Series(["x" * 100_000] * 200)
    frame = pd.DataFrame({"at_s": names.astype("category") if as_category else names})
    frame.to_parquet(tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").stat().st_size < 1e6
    with pytest.raises(InputError, match=r"at_s: holds 20 MB of text; allowed: at most 1 MB$"):
        read_table(tmp_path / "table.parquet", ["at_s"])


def test_texts_of_parquet_are_read_as_they_are_described(tmp_path):
    table = pa.table(
        {"b": [1, 2, 3], "a": ["x", None, "x"], "c": pa.array(["é"] * 3).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "table.parquet")
    assert tables.read_parquet(tmp_path / "table.parquet").equals(table)
