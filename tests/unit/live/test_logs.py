"""The log: so much of a kind in a minute, printable, and what was left out is counted."""

from __future__ import annotations

import io
import logging

import pytest

from lhsim.live.logs import LONGEST, MOST, WINDOW, LimitedHandler


@pytest.fixture
def log():
    stream, now = io.StringIO(), [0.0]
    handler = LimitedHandler(stream, clock=lambda: now[0])
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, handler, stream, now


def test_a_kind_has_so_many_lines_a_minute_and_a_count_of_the_rest(log):
    logger, handler, stream, now = log

    def flood(count):
        for n in range(count):
            logger.error("client %d", n)

    flood(1000)
    assert stream.getvalue().count("client") == MOST
    logger.error("another kind")
    assert "another kind" in stream.getvalue()
    now[0] += WINDOW
    flood(1)
    assert f"and {1000 - MOST:,} more like the last one of test_logs.py" in stream.getvalue()
    assert stream.getvalue().count("client") == MOST + 1
    flood(MOST + 4)
    handler.close()
    assert "and 5 more like" in stream.getvalue()


def test_words_of_a_client_make_no_kinds(log):
    logger, _, stream, _ = log
    for n in range(1000):
        logger.error(f"words of a client {n}")
    assert stream.getvalue().count("\n") == MOST


def test_a_line_is_one_and_printable_and_short(log):
    logger, _, stream, _ = log
    logger.error("a\nforged: line\x1b[31m \u202e %s", "x" * 10_000)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.startswith(r"lhsim: ERROR: a\nforged: line\x1b[31m \u202e xxx")
    assert len(line) < LONGEST + 50
