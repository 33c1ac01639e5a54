"""Slowdowns of a core, from the times of a piece of work."""

from __future__ import annotations

import numpy as np
import pytest

from lhsim.live.pace import slowdowns
from lhsim.live.probe import PACE_EVERY as EVERY

PIECE = 30e-6


def paces(*spells, length=10.0, factor=1.7):
    """Times and durations of pieces on a core that is slow in some spells."""
    times = np.arange(0.0, length, EVERY)
    seconds = PIECE * (1 + 0.05 * np.random.default_rng(1).random(len(times)))
    for begin, end in spells:
        seconds[(times >= begin) & (times < end)] *= factor
    return times, seconds


def test_spells_are_found_where_they_are():
    spells = [(1.0, 1.5), (4.0, 4.05), (7.0, 9.0)]
    pace, found = slowdowns(*paces(*spells))
    assert pace == pytest.approx(PIECE * 1.025, rel=0.01)
    assert [(one.at, one.at + one.duration) for one in found] == [
        pytest.approx(spell, abs=EVERY) for spell in spells
    ]
    assert [one.factor for one in found] == pytest.approx([1.7] * 3, rel=0.03)


def test_a_spell_may_last_to_the_end():
    (only,) = slowdowns(*paces((8.0, 10.0)))[1]
    assert (only.at, only.duration) == (pytest.approx(8.0), pytest.approx(2.0 - EVERY))


def test_a_spell_may_begin_with_the_run():
    (only,) = slowdowns(*paces((0.0, 1.0)))[1]
    assert (only.at, only.duration) == (0.0, pytest.approx(1.0))


def test_single_pieces_that_took_longer_are_no_spells():
    times, seconds = paces()
    seconds[::37] *= 3
    assert slowdowns(times, seconds)[1] == ()


def test_a_core_that_is_always_slow_is_a_slow_core():
    pace, found = slowdowns(*paces((0.0, 10.0)))
    assert found == ()
    assert pace == pytest.approx(1.7 * PIECE * 1.025, rel=0.01)


@pytest.mark.parametrize("count", [1, 2])
def test_few_pieces_have_a_pace(count):
    assert slowdowns(np.arange(count) * EVERY, np.full(count, PIECE)) == (PIECE, ())
