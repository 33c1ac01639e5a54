"""What the comparison is worth: rules that are wrong by one slip, and it finds each of them.

Every slip is planted in the SimPy engine, and the wrong engine is compared with the right one on a
fixed list of systems. An engine that is wrong in the same way would be found likewise.
"""

import functools

import planted_agents  # noqa: F401 - registers its errors
import planted_classes  # noqa: F401 - registers its errors
import planted_delivery  # noqa: F401 - registers its errors
import planted_failures  # noqa: F401 - registers its errors
import planted_nodes  # noqa: F401 - registers its errors
import planted_polling  # noqa: F401 - registers its errors
import planted_processor  # noqa: F401 - registers its errors
import planted_push  # noqa: F401 - registers its errors
import planted_requests  # noqa: F401 - registers its errors
import planted_sharing  # noqa: F401 - registers its errors
import planted_store  # noqa: F401 - registers its errors
import pytest
from planting import ERRORS, found

from lhsim.models import stage, stalls
from lhsim.models.stage import Stage
from lhsim.streams import Purpose, uniform

LOSSES = [
    Purpose.LOSS_MESSAGE_UP,
    Purpose.LOSS_REQUEST_UP,
    Purpose.LOSS_ANSWER_DOWN,
    Purpose.LOSS_PUSH_DOWN,
    Purpose.LOSS_ANSWER_UP,
    Purpose.LOSS_REPLY_DOWN,
]
NO_STAGES = {
    Purpose.REPLICATION,
    Purpose.START,
    Purpose.TARGET,
    Purpose.ANSWER,
    Purpose.STALL_GAP,
    Purpose.STALL_LENGTH,
    Purpose.SLOWDOWN_GAP,
    Purpose.SLOWDOWN_LENGTH,
    Purpose.SLEEP,
    Purpose.NODE_OF_MESSAGE,
    Purpose.NODE_OF_REQUEST,
    Purpose.NODE_OF_ANSWER,
    Purpose.SLOW,
    Purpose.RECORD,
    *LOSSES,
    Purpose.PRIORITY,
    Purpose.RETRY,
    Purpose.POST_FAILURE,
    Purpose.DISCONNECT,
}


def test_without_an_error_there_is_no_difference():
    assert found() == []


def test_each_error_is_planted_once():
    names = [error.name for error in ERRORS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.name)
def test_a_planted_error_is_found(error):
    assert found(error.plant, error.system) != []


@pytest.mark.parametrize(
    "purpose",
    [p for p in Purpose if p not in NO_STAGES],
    ids=lambda p: p.name,
)
def test_a_draw_at_the_address_of_the_next_is_found(purpose):
    original = Stage.draw

    def next_draw(self, entity, index):
        return original(self, entity, index + (self.purpose == purpose))

    assert found(lambda patch: patch.setattr(Stage, "draw", next_draw)) != []


@pytest.mark.parametrize("purpose", LOSSES, ids=lambda p: p.name)
def test_losses_at_the_address_of_the_next_are_found(purpose):
    def next_uniform(seed, losses, entity, index):
        return uniform(seed, losses, entity, index + (losses == purpose))

    assert found(lambda patch: patch.setattr(stage, "uniform", next_uniform)) != []


@pytest.mark.parametrize("purposes", ["OF_STALLS", "OF_SLOWDOWNS"])
def test_a_timeline_drawn_for_another_purpose_is_found(purposes):
    swapped = getattr(stalls, purposes)[::-1]
    assert found(lambda patch: patch.setattr(stalls, purposes, swapped)) != []


def test_stalls_drawn_from_another_host_are_found():
    other_host = functools.partial(stalls.of_host, host=1)
    assert found(lambda patch: patch.setattr(stalls, "of_host", other_host)) != []
