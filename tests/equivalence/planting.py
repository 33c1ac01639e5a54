"""Plants errors in the SimPy engine, and looks for them on a fixed list of systems.

An error is a function named after what is wrong; a decorator says what it replaces, and which
system shows it. That one is looked at first, and then all others: a name saves time alone.
"""

import functools
from collections.abc import Callable

import attrs
import pytest
from comparison import CANDIDATE, REFERENCE, differences
from planted_systems import CASES

from lhsim.errors import InvariantError

Plant = Callable[[pytest.MonkeyPatch], None]


@attrs.frozen
class PlantedError:
    """A rule that is wrong by one slip."""

    name: str
    plant: Plant
    system: str  # that shows it; "": the first that does


ERRORS: list[PlantedError] = []


def planted(*, system=""):
    """Register a function that patches all that it has to."""

    def register(plant):
        ERRORS.append(PlantedError(plant.__name__, plant, system))
        return plant

    return register


def instead_of(owner, name, *, system=""):
    """Register a function that takes the place of one of a class or a module."""

    def register(wrong):
        error = PlantedError(
            wrong.__name__, lambda patch: patch.setattr(owner, name, wrong), system
        )
        ERRORS.append(error)
        return wrong

    return register


def around(owner, name, *, system=""):
    """Register a function that does so, too, and whose first argument is the right one."""

    def register(slip):
        def plant(patch):
            right = getattr(owner, name)

            def wrong(*arguments, **options):
                return slip(right, *arguments, **options)

            patch.setattr(owner, name, wrong)

        ERRORS.append(PlantedError(slip.__name__, plant, system))
        return slip

    return register


@functools.cache
def right(number):
    """Return the result of the engine that is tested: it runs before anything is planted."""
    return CASES[number].run(CANDIDATE)


def found(plant=None, system=""):
    """Return the differences on the first of the systems that has any."""
    named_first = sorted(range(len(CASES)), key=lambda one: CASES[one].system.name != system)
    for number in named_first:
        good = right(number)
        with pytest.MonkeyPatch.context() as patch:
            if plant is not None:
                plant(patch)
            try:
                lines = differences(CASES[number].run(REFERENCE), good)
            except InvariantError as error:  # the engine itself has noticed
                lines = [str(error)]
        if lines:
            return lines
    return []
