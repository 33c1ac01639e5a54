"""Only regular files of a sane size are opened."""

import os
from pathlib import Path

import pytest

from lhsim import _files
from lhsim.errors import InputError


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(InputError, match="not a regular file"):
        _files.read_text(fifo)


def test_a_link_to_a_device_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "zero.toml"
    link.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="not a regular file"):
        _files.read_bytes(link)


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(_files.TEXT + 1)
    with pytest.raises(InputError, match=r"too large.*at most"):
        _files.read_text(large)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "does not exist"),
        (".", "is a directory"),
        ("a\0b", "NUL"),
        ("\ud800", "does not exist"),
        ("~/" + "x" * 5000, "cannot be read: File name too long"),
        ("~nobody-of-that-name/x", "no user's home"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_what_cannot_be_opened_is_one_line(name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        _files.read_text(name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfgreetings")
    assert _files.expanded("~/x") == tmp_path / "x"
    assert _files.read_text("~/x") == "greetings"


def test_what_is_not_utf_8_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 3"):
        _files.read_text(tmp_path / "x")
