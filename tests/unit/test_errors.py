from __future__ import annotations

import pickle

import pytest

from lhsim.errors import InputError, InvariantError, LhsimError, unknown_name


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("is missing"), "is missing"),
        (InputError("is missing", key="a.b"), "a.b: is missing"),
        (InputError("is missing", source="a.toml"), "a.toml: is missing"),
        (
            InputError("is -1", source="a.toml", key="a.b", allowed="a number > 0"),
            "a.toml: a.b: is -1; allowed: a number > 0",
        ),
        (InputError("is\nnot  one\tline", key="a\nb"), "a b: is not one line"),
    ],
)
def test_an_input_error_is_one_line(error: InputError, line: str) -> None:
    assert str(error) == line


def test_an_input_error_survives_the_way_from_a_worker_process() -> None:
    class_of_its_own = _RefusalError("is -1", source="a.toml", key="a.b", allowed="1")
    back = pickle.loads(pickle.dumps(class_of_its_own))
    assert type(back) is _RefusalError
    assert (back.problem, back.source, back.key, back.allowed) == ("is -1", "a.toml", "a.b", "1")
    assert str(back) == str(class_of_its_own)


class _RefusalError(InputError):
    pass


def test_callers_may_catch_what_they_know() -> None:
    assert issubclass(InputError, LhsimError)
    assert issubclass(InputError, ValueError)
    assert issubclass(InvariantError, LhsimError)
    assert not issubclass(InvariantError, ValueError)  # a defect is not the user's mistake


def test_an_unknown_name_gets_the_nearest_suggested() -> None:
    error = unknown_name("system", "poling", ["push", "polling"], source="a.toml", key="name")
    assert str(error) == (
        "a.toml: name: unknown system 'poling' (did you mean 'polling'?); allowed: polling, push"
    )


def test_a_name_like_none_of_them_gets_no_suggestion() -> None:
    assert str(unknown_name("system", "xyz", ["push"])) == "unknown system 'xyz'; allowed: push"
    assert str(unknown_name("system", "xyz", [])) == "unknown system 'xyz'"
