from __future__ import annotations

import pytest

from lhsim.errors import InputError
from lhsim.models import Warmth


@pytest.mark.parametrize(
    ("gaps", "excess", "said"),
    [
        ((0.0, 1.0), (0.0, 1e308), "excess: rises too far"),
        ((0.0, 1e-310), (0.0, 1.0), "excess: rises too far"),
        ((0.0, 1.0), (1.0, 0.0), "excess: is no ascending list"),
        ((0.0, 0.0), (0.0, 1.0), "gaps: is no ascending list"),
        ((0.0,), (0.0,), "gaps: is no ascending list"),
        ((0.0, 1.0, 2.0), (0.0, 1.0), "excess: differs in length from gaps"),
    ],
)
def test_what_is_no_curve_of_a_cold_loop_is_refused(gaps, excess, said):
    with pytest.raises(InputError, match=said):
        Warmth(gaps, excess)
