"""All experiments in one go: what fails or is interrupted, and what is left of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from lhsim import cli
from lhsim.cli.experiment import exit_code
from lhsim.errors import InputError
from lhsim.experiments import everything
from lhsim.experiments.finding import Finding
from lhsim.experiments.options import FAILED, INTERRUPTED

TAKES = dict(everything.TAKES)
ASKED = ("--replications", "1", "--jobs", "1")


def command(name: str, does: Callable[[], int | None]) -> click.Command:
    """Return a command that does something, prints, and leaves a finding."""

    @click.command()
    @click.option("--output-dir", type=click.Path(path_type=Path))
    @click.option("--quiet", is_flag=True)
    @click.option("--seed", type=int)
    def run(output_dir: Path, quiet: bool, seed: int) -> int | None:
        assert quiet
        print("a table that nobody asked for")
        code = does()
        Finding(name, f"E {name}", "?", f"{name} with {seed}.").write(output_dir)
        return code

    return run


def fail() -> None:
    raise MemoryError("no more")


def refuse() -> None:
    raise InputError("is wrong", source="--set")


def interrupt() -> None:
    raise KeyboardInterrupt


def run_all(folder: Path, **does: Callable[[], int | None]) -> tuple[list[Any], list[Any]]:
    told: list[Any] = []
    commands = {name: command(name, one) for name, one in does.items()}

    def run(name: str, words: Sequence[str]) -> int:
        return exit_code(commands[name], name, words)

    def report(name: str, number: int, left: float | None) -> None:
        told.append((name, number, left))

    return everything.carry_out(commands, run, folder, ["--seed", "7"], report), told


pytestmark = pytest.mark.usefixtures("blank_plots")


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments of which two take as long as each other, and one twice as long."""
    monkeypatch.setattr(everything, "TAKES", {"latency": 1.0, "burst": 1.0, "contention": 2.0})


def test_all_are_run_in_their_order_and_print_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, told = run_all(tmp_path, latency=lambda: None, burst=lambda: 0, contention=lambda: None)
    assert [(one.name, one.code) for one in ended] == [
        ("latency", 0), ("burst", 0), ("contention", 0),
    ]  # fmt: skip
    assert capsys.readouterr() == ("", "")
    assert everything.summary(tmp_path, ended).splitlines() == [
        "E latency: latency with 7.", "", "E burst: burst with 7.", "",
        "E contention: contention with 7.",
    ]  # fmt: skip
    (_, _, unknown), (_, _, half), (_, _, rest) = told
    assert unknown is None
    seconds = [one.seconds for one in ended]
    assert half == pytest.approx(3 * seconds[0])  # three times the work of the first
    assert rest == pytest.approx(seconds[0] + seconds[1])


@pytest.mark.parametrize(
    ("does", "error"), [(fail, "MemoryError: no more"), (refuse, "--set: is wrong")]
)
def test_what_fails_is_a_finding_and_stops_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    does: Callable[[], None],
    error: str,
) -> None:
    ended, _ = run_all(tmp_path, latency=does, burst=lambda: None)
    assert [one.code for one in ended] == [FAILED, 0]
    assert capsys.readouterr().err == f"lhsim: latency failed: {error}\n"
    found = Finding.read(tmp_path / "latency")
    assert (found.status, found.error) == ("failed", error)
    assert "Traceback" in (found.traceback or "")
    assert everything.summary(tmp_path, ended).startswith(f"latency (failed): {error}")


@pytest.mark.parametrize("does", [interrupt, lambda: INTERRUPTED])
def test_an_interrupt_ends_it_and_keeps_what_is_finished(
    tmp_path: Path, does: Callable[[], int | None]
) -> None:
    ended, _ = run_all(tmp_path, latency=lambda: None, burst=does, contention=lambda: None)
    assert [(one.name, one.code) for one in ended] == [("latency", 0), ("burst", INTERRUPTED)]
    assert Finding.read(tmp_path / "latency").answer == "latency with 7."
    assert not (tmp_path / "contention").exists()


def test_the_command_leaves_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "all"
    assert cli.run(["all", "--output-dir", str(folder), *ASKED]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith(f"report: {folder / 'report.html'}\n")
    assert max(map(len, captured.out.splitlines()[:-1])) <= 80
    first, *others, last = captured.err.splitlines()
    assert first == "1/3 latency"
    assert all("left" in line for line in others)
    assert last.startswith("3 of 3 experiments in ")
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name in ("latency", "burst", "contention"):
        assert f'<section class="experiment" id="{name}"' in page
        assert (folder / name / "cells.store").is_file()
    assert cli.run(["all", "--output-dir", str(folder), *ASKED, "--quiet"]) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (captured.out, "")


def test_a_failure_is_in_the_report_and_in_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.lhsim.commands, "latency", command("latency", fail))
    monkeypatch.setattr(everything, "TAKES", {"latency": 1.0, "contention": 2.0})
    folder = tmp_path / "all"
    # The command that fails knows fewer options: that is how it fails.
    assert cli.run(["all", "--output-dir", str(folder), *ASKED, "--quiet"]) == FAILED
    assert "lhsim: latency failed: " in capsys.readouterr().err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "1 done; 1 failed" in page


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cli.run(["all", "--output-dir", str(tmp_path / "file" / "x")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_each_experiment_of_all_is_a_command() -> None:
    assert set(TAKES) <= set(cli.lhsim.commands)


@pytest.mark.parametrize(
    ("systems", "judged"),
    [
        ((), True),
        (("polling", "push"), True),
        (("push", "polling"), True),
        (("polling",), False),
        (("polling", "polling"), False),
        (("polling", "push", "push"), False),
    ],
)
def test_claims_are_left_out_unless_one_system_polls_and_one_pushes(monkeypatch, systems, judged):
    monkeypatch.setattr(everything, "TAKES", TAKES)
    names = everything.names_for(systems)
    left = [name for name in TAKES if name not in names]
    assert left == ([] if judged else ["claims"])


def test_all_passes_systems_settings_and_engine_on(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        everything,
        "carry_out",
        lambda names, _run, _folder, words, _report: asked.append(words) or [],
    )
    words = ("--system", "polling", "--system", "push", "--set", "polling.interval=2s",
             "--engine", "simpy")  # fmt: skip
    assert cli.run(["all", *words, "--quiet", "--output-dir", str(tmp_path / "out")]) == 0
    assert list(asked[0][:6]) == list(words[:6])
    assert list(asked[0][-2:]) == ["--engine", "simpy"]


def test_all_refuses_a_system_that_is_not_there(capsys, tmp_path):
    assert cli.run(["all", "--system", "polly", "--output-dir", str(tmp_path / "out")]) == 2
    assert "polly" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
