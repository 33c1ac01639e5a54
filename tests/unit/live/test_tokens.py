"""Tokens: good until they end, for whom they are, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lhsim.live.tokens import AGENT_ID, Tokens

SECRET = b"0123456789abcdef"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_ends():
    clock = Clock()
    tokens = Tokens(SECRET, 60, clock)
    token, expiry = tokens.sign("alice")
    assert expiry == 1060
    clock.now = 1059.9
    assert tokens.check(token) == "alice"
    clock.now = 1060.0
    assert tokens.check(token) is None


def test_the_id_of_a_key_is_not_the_key():
    token, _ = Tokens(SECRET, 60, Clock()).sign("alice")
    assert SECRET.hex()[:8] not in token
    assert Tokens(SECRET, 60, Clock()).check(token) == "alice"  # after a restart, too
    assert Tokens(SECRET[:-1], 60, Clock()).check(token) is None


@given(st.from_regex(AGENT_ID, fullmatch=True))
def test_every_agent_gets_its_own(agent):
    tokens = Tokens(SECRET, 60, Clock())
    assert tokens.check(tokens.sign(agent)[0]) == agent


@given(st.data())
def test_a_token_with_any_other_character_is_none(data):
    tokens = Tokens(SECRET, 60, Clock())
    token, _ = tokens.sign("alice")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda one: one != token[place]))
    assert tokens.check(token[:place] + other + token[place + 1 :]) is None


@given(st.text(max_size=500))
def test_no_text_is_a_token_by_chance(text):
    assert Tokens(SECRET, 60, Clock()).check(text) is None
