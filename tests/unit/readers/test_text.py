"""Texts in the encodings and compressions that people have, and files that are none."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pyarrow as pa
import pytest

from lhsim.errors import InputError
from lhsim.readers import text
from lhsim.readers.text import lines_of, read_lines, read_whole

LINES = ["a,é", "1,ü", "2,x"]
PACKED = {
    "plain": bytes,
    "gz": gzip.compress,
    "two members": lambda raw: gzip.compress(raw[:5]) + gzip.compress(raw[5:]),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda raw: pa.compress(raw, "zstd", asbytes=True),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
@pytest.mark.parametrize("packed", PACKED)
def test_a_text_is_read_whatever_it_is_written_in(tmp_path, packed, encoding, end):
    path = tmp_path / "text"
    path.write_bytes(PACKED[packed](end.join([*LINES, ""]).encode(encoding)))
    assert read_whole(path).decode() == end.join([*LINES, ""])
    assert list(read_lines(path)) == LINES


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("read", [read_whole, lambda path: list(read_lines(path))])
def test_a_compressed_file_that_breaks_off_is_refused_in_a_line(tmp_path, packed, read):
    path = tmp_path / "text"
    path.write_bytes(PACKED[packed](b"a line\n" * 1000)[:-9])
    with pytest.raises(InputError, match="text: is damaged: ") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_whole, lambda path: list(read_lines(path))])
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (bytes(range(256)) * 4, "is no text"),
        ("x\ny".encode("utf-16")[:-1], "is damaged: its encoding breaks off"),
        (b"\x1f\x8bnothing of the kind", "is damaged"),
        (b"\x28\xb5\x2f\xfdnothing of the kind", "is damaged"),
    ],
)
def test_what_is_no_text_is_refused_in_a_line(tmp_path, read, raw, said):
    path = tmp_path / "text"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_whole, lambda path: list(read_lines(path))])
def test_an_empty_or_missing_file_is_no_defect(tmp_path, read):
    (tmp_path / "empty").write_bytes(b"")
    assert not read(tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="is a directory"):
        read(tmp_path)


def test_a_small_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    monkeypatch.setattr(text, "TABLE", 10_000_000)
    with pytest.raises(InputError, match="holds more than 10 MB"):
        read_whole(path)


def test_a_line_without_an_end_is_refused(tmp_path):
    (tmp_path / "long").write_bytes(b"x" * 2 * text.LONGEST_LINE)
    with pytest.raises(InputError, match="line 1 is no text"):
        list(read_lines(tmp_path / "long"))


def test_the_standard_input_may_be_compressed():
    raw = io.BufferedReader(io.BytesIO(gzip.compress(b"one\ntwo\n")))
    assert list(lines_of(raw, "stdin")) == ["one", "two"]
