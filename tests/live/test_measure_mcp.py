"""The driver by MCP, against a real bridge: small runs, since what is tested is no speed."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import pytest
from bridges import Bridge

from lhsim.cli import run as command
from lhsim.errors import InputError
from lhsim.live.driver import MOST_ASKED, Load, measure
from lhsim.models import Poisson, Workload
from lhsim.models.schedule import schedule
from lhsim.recording import Recording

WORKLOAD = Workload(traffic=Poisson(4.0))
ERAS = ("legacy", "modern")
TIMES = ["--duration", "1", "--warmup", "500ms", "--drain", "500ms"]


@pytest.fixture(scope="module")
def mcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bridge with MCP that the tests of the module share: each run has its names."""
    folder = tmp_path_factory.mktemp("mcp")
    bridge = Bridge(folder, str(folder / "events.db"))
    yield bridge.start("--mcp", "--timeout", "2s")
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log


def load(url: str, **changes: object) -> Load:
    plain = Load(
        url=url,
        architecture="mcp",
        agents=4,
        workload=WORKLOAD,
        duration=2.0,
        warmup=0.7,
        drain=0.8,
        seed=3,
        spin=0.1,
    )
    return attrs.evolve(plain, **changes)


@pytest.mark.parametrize("era", ERAS)
def test_each_question_comes_and_is_answered(mcp, era):
    one = load(mcp, era=era)
    found = measure(one)
    planned = schedule(WORKLOAD, 4, one.end, 3)
    table = found.messages
    assert len(table) == len(planned) > 15
    for column, expected in (("intended_s", planned.time), ("sender", planned.sender),
                             ("number", planned.number), ("target", planned.target)):  # fmt: skip
        assert (table[column].to_numpy() == expected).all()
    assert table["acknowledged_s"].notna().all()
    cohort = found.cohort
    assert len(cohort) > 5
    assert cohort["delivered_s"].notna().all()
    columns = ["intended_s", "sent_s", "delivered_s", "acknowledged_s"]
    assert (np.diff(cohort[columns].to_numpy()) >= 0).all()
    assert (cohort["acknowledged_s"] > cohort["delivered_s"]).all()
    assert found.manifest.options["era"] == era
    assert not [doubt for doubt in found.manifest.doubts if "failed" in doubt or "once" in doubt]


def test_a_message_is_as_long_as_it_can_be(mcp):
    found = measure(load(mcp, payload=MOST_ASKED))
    assert found.cohort["acknowledged_s"].notna().all()
    with pytest.raises(InputError, match=r"payload: 9,981 is too long; allowed: at most 9,980"):
        load(mcp, payload=MOST_ASKED + 1)


def test_what_the_bridge_refuses_makes_a_run_doubtful(bridge):
    url = bridge.start("--mcp", "--rate-limit", "6/min,3")
    found = measure(load(url, agents=2))
    # Each has one token for its question to itself, and two, or three, for the run.
    answered = found.messages["acknowledged_s"].notna().groupby(found.messages["sender"]).sum()
    assert set(answered) <= {2, 3}
    refused = int(found.messages["acknowledged_s"].isna().sum())
    assert refused > 5
    (doubt,) = [doubt for doubt in found.manifest.doubts if "failed" in doubt]
    assert doubt.startswith(f"{refused} requests failed; the last: 429: ")


def test_the_command_writes_what_no_model_can_stand_for(mcp, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["--url", mcp, "--architecture", "mcp", "--era", "legacy", "--agents", "3"]
    assert command(["measure", *arguments, *TIMES, "--quiet", "-o", str(folder)]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line for line in shown.splitlines()}
    assert rows["latency_p50"].endswith("ms  until it reaches who it is for")
    assert rows["answer_p50"].endswith("ms  until its answer is back with who has asked")
    assert not [name for name in rows if name.startswith("store")]
    manifest = Recording.read(folder).manifest
    assert (manifest.architecture, manifest.options["era"]) == ("mcp", "legacy")
    for name, rest in (
        ("calibrate", [str(folder), "-o", str(tmp_path / "mine.toml")]),
        ("crosscheck", ["--model", "push", "--live", str(folder)]),
    ):
        assert command([name, *rest]) == 2
        assert capsys.readouterr().err == (
            f"lhsim: error: {folder}: is a run by mcp, of which there is no model; "
            "allowed: a run by polling or push\n"
        )


def test_a_bridge_without_mcp_is_bad_input(bridge, tmp_path, capsys):
    url = bridge.start()
    arguments = ["measure", "--url", url, "--architecture", "mcp", "--agents", "3", *TIMES]
    assert command([*arguments, "-o", str(tmp_path / "run")]) == 2
    error = f"lhsim: error: {url}: has no MCP; allowed: a bridge with MCP, lhsim serve --mcp\n"
    assert capsys.readouterr().err == error
    assert not (tmp_path / "run").exists()


def test_agents_for_which_there_are_no_files_are_refused(mcp, monkeypatch):
    monkeypatch.setattr("lhsim.live.probe.open_files", lambda: 75)
    with pytest.raises(InputError, match="76 open files in each process, of 75"):
        measure(load(mcp, processes=1))
