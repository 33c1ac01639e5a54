"""Small systems, whose answers take a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from lhsim.explore.answers import Answers
from lhsim.explore.state import Candidate, candidates

SMALL = """
name = "small"
[cpu]
parse_message = { family = "deterministic", value = "1 ms" }
query = { family = "exponential", mean = "10 ms" }
[polling]
interval = "1 s"
[calibration]
agents = [1, 50]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model file that a user names."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def known(file: Path) -> dict[str, Candidate]:
    """What ``lhsim explore small.toml`` offers."""
    return candidates([str(file)])


@pytest.fixture
def answers(known: dict[str, Candidate]) -> Answers:
    return Answers(known)
