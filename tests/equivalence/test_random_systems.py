"""Random systems: both engines give the same bytes.

``LHSIM_EXAMPLES=2000 pytest tests/equivalence/test_random_systems.py`` looks longer.
"""

import os

import attrs
import pytest
from comparison import CANDIDATE, REFERENCE, check, differences
from generators import AREAS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("LHSIM_EXAMPLES", "8"))  # of each area

looking = settings(
    max_examples=EXAMPLES,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("area", AREAS)
@looking
@given(data=st.data())
def test_the_engines_agree(area, data):
    check(data.draw(AREAS[area], label="case"))


@pytest.mark.parametrize("engine", sorted({REFERENCE, CANDIDATE}))
@settings(looking, max_examples=max(8, EXAMPLES // 2))
@given(case=st.one_of(*AREAS.values()))
def test_a_seed_gives_one_result(engine, case):
    assert differences(case.run(engine), case.run(engine)) == []


@settings(looking, max_examples=max(8, EXAMPLES // 2))
@given(case=st.one_of(*AREAS.values()))
def test_to_keep_the_messages_changes_nothing_else(case):
    kept, thrown_away = (attrs.evolve(case, keep_messages=keep) for keep in (True, False))
    found = differences(attrs.evolve(kept.run(CANDIDATE), records=None), thrown_away.run(CANDIDATE))
    assert found == []
