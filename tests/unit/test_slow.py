"""The list of slow tests names tests that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def slow():
    text = (TESTS / "conftest.py").read_text(encoding="utf-8")
    space: dict[str, object] = {}
    exec(text[text.index("SLOW = (") : text.index(")\n", text.index("SLOW = ("))] + ")", space)
    return space["SLOW"]


@pytest.mark.parametrize("place", slow())
def test_a_slow_test_is_there(place):
    path, _, name = place.partition("::")
    assert (TESTS / path).exists()
    assert f"def {name}" in (TESTS / path).read_text() if name else True
