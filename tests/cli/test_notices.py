"""What the engines say while a command runs."""

from __future__ import annotations

import logging

import click
import pytest

from lhsim import cli
from lhsim.cli.commands import notices
from lhsim.compiled import kernel


@pytest.fixture
def slow_compiler(monkeypatch):
    """A machine on which each kernel takes long to compile: the notice comes at once."""
    load = kernel.load

    def slowly(run, memory):
        kernel.logger.warning("lhsim: compiling")
        load(run, memory)

    monkeypatch.setattr(kernel, "load", slowly)


COMMANDS = {
    "scaling": ["scaling", "--system", "./push.toml", "--agents", "4", "--duration", "5"],
    "capacity": ["capacity", "--system", "./push.toml", "--slo", "p99<1us", "--most", "4"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("option", "said"), [(None, 1), ("--no-progress", 0), ("--quiet", 0)])
def test_a_notice_that_kernels_are_compiled_is_progress(
    folder, slow_compiler, capsys, monkeypatch, name, option, said
):
    # Without a handler Python prints warnings itself; pytest has put in one of its own.
    monkeypatch.setattr(logging.root, "handlers", [])
    arguments = [*COMMANDS[name], "--jobs", "1", *([option] if option else [])]
    assert cli.run(arguments) == 0
    err = capsys.readouterr().err
    assert ("lhsim: compiling" in err) == bool(said)
    if option == "--quiet":
        assert err == ""


def test_errors_are_logged_all_the_same_and_the_level_comes_back():
    logger = logging.getLogger("lhsim")
    before = logger.level
    with notices(shown=False):
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert logger.level == before


def test_every_command_that_can_be_quiet_is():
    commands = [cli.lhsim.loaded(name) for name in cli.lhsim.commands]
    able = [one for one in commands if {"quiet", "no_progress"} & {p.name for p in one.params}]
    assert len(able) >= 5
    assert all(isinstance(one, click.Command) for one in able)
    assert {type(one).__module__ for one in able} == {"lhsim.cli.commands"}
