"""The first minutes: `lhsim` without arguments, and `lhsim init`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lhsim as library
from lhsim import cli
from lhsim.experiments.specification import ParameterSweep, load
from lhsim.experiments.start import FIRST_COMMANDS


def test_without_arguments_it_says_where_to_begin(folder, capsys):
    assert cli.run([]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert 3 <= len(lines) <= 6
    assert max(map(len, lines)) <= 80
    assert all(command in captured.out for command in FIRST_COMMANDS)


@pytest.mark.parametrize("command", FIRST_COMMANDS)
def test_the_first_commands_are_commands(command):
    program, name, *arguments = shlex.split(command)
    assert program == "lhsim"
    if name == "--help":
        return
    context = cli.lhsim.loaded(name).make_context(name, list(arguments))
    assert context.info_name == name


@pytest.mark.parametrize("place", [[], ["my study/one"]])
def test_what_init_writes_runs_as_it_is(folder, capsys, monkeypatch, place):
    assert cli.run(["init", *place]) == 0
    steps = [shlex.split(line) for line in capsys.readouterr().out.splitlines()[1:]]
    if place:
        assert steps.pop(0) == ["cd", "my study/one"]
        monkeypatch.chdir(folder / place[0])
    for program, *arguments in steps:
        assert program == "lhsim"
        assert cli.run([*arguments, "--quiet", "--replications", "1", "--duration", "12"]) == 0
        printed = capsys.readouterr()
        assert "server" in printed.out
        assert printed.err == ""
    assert Path("results/sweep/runs.parquet").exists()


def test_the_alternatives_in_the_comments_of_the_model_hold(folder, capsys):
    """What stands in a comment is taken in place of what stands there."""
    assert cli.run(["init"]) == 0
    text = Path("server.toml").read_text()
    table = text[text.index("[polling]") : text.index("# Push instead")]
    text = text.replace(table, "").replace("# [push]\n# connections", "[push]\nconnections")
    for line in ("[calibration]", "source =", "agents ="):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    Path("push.toml").write_text(text)
    system = library.load_system("./push.toml")
    assert system.push.connections == 1000
    assert system.calibration.agents == (10, 500)
    for topology in ("ring", "pair", "random", "hub", "broadcast"):
        library.load_system("./server.toml", [f"workload.topology={topology}"])


def test_the_experiment_names_the_model(folder, capsys):
    assert cli.run(["init"]) == 0
    assert load("./sweep.toml", ParameterSweep).systems == ("./server.toml",)


@pytest.mark.parametrize("there", ["server.toml", "sweep.toml"])
def test_init_overwrites_nothing(folder, capsys, there):
    Path("study").mkdir()
    Path("study", there).write_text("mine")
    assert cli.run(["init", "study"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"lhsim: error: study/{there}: is there, and is not overwritten; allowed: another folder\n"
    )
    assert [path.name for path in Path("study").iterdir()] == [there]
    assert Path("study", there).read_text() == "mine"


def test_init_in_what_is_no_folder(folder, capsys):
    Path("file").write_text("")
    assert cli.run(["init", "file/study"]) == 2
    assert capsys.readouterr().err.startswith("lhsim: error: file/study: cannot be written: ")


def test_the_help_line_of_each_command_is_the_first_of_its_text():
    for name, command in cli.lhsim.commands.items():
        assert command.get_short_help_str(200) == cli.lhsim.loaded(name).get_short_help_str(200)


def test_help_has_every_command_in_one_section(capsys):
    assert cli.run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first_words = [line.split()[0] for line in lines if line.startswith("  ")]
    assert {name: first_words.count(name) for name in cli.lhsim.commands} == dict.fromkeys(
        cli.lhsim.commands, 1
    )


@pytest.mark.parametrize("name", sorted(cli.lhsim.commands))
def test_help_has_every_option_once_and_those_of_the_output_last(name, capsys):
    assert cli.run([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = lines[lines.index("Options:") :]
    shown = [row.replace("-o, ", "").split()[0] for row in rows if row.startswith("  -")]
    options = [one for one in cli.lhsim.loaded(name).params if isinstance(one, click.Option)]
    assert sorted(shown) == sorted(["--help", *(max(one.opts, key=len) for one in options)])
    assert shown[-1] == "--help"
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles in (["Options:"], ["Options:", "Execution:", "Output:"])


def test_list_shows_where_the_files_are(capsys):
    assert cli.run(["list", "--paths"]) == 0
    paths = [Path(line.split(maxsplit=1)[1]) for line in capsys.readouterr().out.splitlines()
             if line.startswith("  ")]  # fmt: skip
    assert {"polling.toml", "scaling.toml"} <= {path.name for path in paths}
    assert all(path.is_file() for path in paths)


def test_help_shows_each_command_in_one_section():
    shown = [name for names in cli.SECTIONS.values() for name in names]
    assert sorted(shown) == sorted(name for names in cli.HELP.values() for name in names)


def test_help_imports_no_command():
    program = (
        "import sys\nfrom lhsim import cli\ncli.run(['--help'])\n"
        "print(*(name for name in sys.modules if name.startswith(('lhsim', 'numpy', 'numba'))))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "lhsim.cli.commands" in imported
    assert not any(name.startswith(("numpy", "numba", "lhsim.models")) for name in imported)
    assert not {"lhsim.cli.experiment", "lhsim.cli.planning", "lhsim.cli.live"} & imported
