from __future__ import annotations

import pytest

from lhsim.errors import InputError
from lhsim.experiments.options import ENGINES, MAX_SEED, parse_duration
from lhsim.experiments.specification import load_latency, load_scaling


def test_the_experiment_asks_what_was_agreed():
    asked = load_scaling()
    assert asked.agents == (10, 50, 100, 500, 1000, 10_000, 100_000)
    assert (asked.messages, asked.min_duration) == (20_000, 20.0)
    assert asked.systems == load_latency().systems == ("polling", "push")


def test_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('systems = ["push"]\nagents = [10]\nreplication = 3\n')
    with pytest.raises(InputError, match=r"replication: unknown key .did you mean 'replications'"):
        load_scaling(path)


def test_what_help_does_not_import_stays_the_same():
    from lhsim import simulation, streams

    assert streams.MAX_SEED == MAX_SEED
    assert simulation.ENGINES == ENGINES


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60.0), ("500ms", 0.5), ("2 min", 120.0), ("1e2", 100.0)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds
