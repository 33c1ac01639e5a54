"""What is said once of a figure is said wherever it goes: every output of every entry point.

Small systems whose runs are overloaded, cut off, beyond the calibration, too short for their tail,
or too short for their warm-up. For each output the figure has its mark, or it is not there.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re

import pandas as pd
import pytest
from attrs import evolve

import lhsim
from lhsim import cli
from lhsim.analysis import flags
from lhsim.analysis.knee import Knee
from lhsim.analysis.measures import is_latency
from lhsim.experiments.sweep import Sweep
from lhsim.models.system import Calibration
from lhsim.planning import capacity
from lhsim.report.capacity import capacity_table
from lhsim.report.text import UNKNOWN

# A server that sends for 50 ms: of 20 messages/s it gets through, and 40 pile up.
PILING = """
name = "piling"
[workload]
start = "together"
traffic = { kind = "poisson", rate = 1.0 }
[cpu]
send = "50 ms"
[push]
[calibration]
agents = [3, 30]
"""
# Agents that sleep for 4 s: at the end of a run most of the last messages are on their way.
SLEEPY = """
name = "sleepy"
[workload]
start = "together"
traffic = { kind = "poisson", rate = 1.0 }
[store]
query = "1 ms"
[polling]
interval = "4 s"
"""
# Without traffic: the latency of a pair brings its own.
ALONE = """
name = "alone"
[cpu]
send = "50 ms"
[push]
[calibration]
agents = [1, 1]
"""
SWEEP = """
kind = "sweep"
systems = ["./piling.toml", "./sleepy.toml"]
agents = 40
replications = 1
min_duration = "10 s"
messages = 20
axes = { "store.connections" = [1, 2] }
"""
QUIET = ("--jobs", "1", "--engine", "simpy", "--quiet")


pytestmark = pytest.mark.usefixtures("blank_plots")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("marks")
    files = {"piling": PILING, "sleepy": SLEEPY, "alone": ALONE, "mine": SWEEP}
    for name, text in files.items():
        (path / f"{name}.toml").write_text(text)
    return path


@pytest.fixture(scope="module")
def runs(folder):
    """Runs by what is to be said of them."""
    piling, sleepy = (lhsim.load_system(folder / f"{n}.toml") for n in ("piling", "sleepy"))
    how = {"engine": "simpy", "seed": 1}
    connect = evolve(piling.cpu, connect=piling.cpu.send, send=piling.cpu.parse_message)
    starting = evolve(piling, name="starting", cpu=connect, calibration=None)
    thin = evolve(piling, name="thin", calibration=None)
    beyond = evolve(piling, name="beyond", calibration=Calibration(agents=(1.0, 2.0)))
    return {
        "overloaded": lhsim.simulate(piling, agents=40, duration=20, **how),
        "extrapolated": lhsim.simulate(beyond, agents=10, duration=20, **how),
        "thin tail": lhsim.simulate(thin, agents=10, duration=20, **how),
        "lower bound": lhsim.simulate(sleepy, agents=10, duration=12, **how),
        "short warm-up": lhsim.simulate(starting, agents=100, duration=30, warmup=0.5, **how),
    }


@pytest.fixture(scope="module")
def sweep(runs, folder):
    systems = tuple(
        evolve(lhsim.load_system(folder / "piling.toml"), name=run.system) for run in runs.values()
    )
    return Sweep(systems, results=tuple(runs.values()))


MARKS = ("overloaded", "extrapolated", "thin tail", "lower bound", "short warm-up")


def raw(run):
    """Return the latencies of a run as they were observed [ms]: what nobody may see of it."""
    return [1e3 * run.latency.quantile(q) for q in (0.5, 0.95, 0.99)] + [1e3 * run.latency.mean]


def row_of(rows, run):
    (found,) = [row for row in rows if row["system"] == run.system]
    return found


def cells_of(line):
    return re.split(r"\s{2,}", line.strip())


# --- one run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", MARKS)
def test_a_summary_and_a_card_say_it(runs, mark):
    for text in (runs[mark].summary(), html.unescape(runs[mark]._repr_html_())):
        assert mark in text


def test_an_overloaded_run_has_no_latency_in_any_form(runs):
    run = runs["overloaded"]
    metrics = {name: getattr(run.metrics, name) for name in dir(run.metrics) if is_latency(name)}
    assert len(metrics) == 7
    assert all(map(math.isnan, metrics.values()))
    row = run.row()
    assert row["overloaded"]
    assert all(math.isnan(value) for name, value in row.items() if is_latency(name))
    assert "latency    none: " in run.summary()
    assert " ms" not in run.summary()


def test_a_run_that_settles_has_its_latencies(runs):
    run = runs["thin tail"]
    assert run.metrics.p99_latency_ms == pytest.approx(1e3 * run.latency.quantile(0.99))


@pytest.mark.parametrize("mark", MARKS)
def test_the_record_and_the_frame_of_a_run_say_it(runs, mark):
    row = runs[mark].to_frame().iloc[0]
    columns = {"overloaded": "overloaded", "extrapolated": "extrapolated",
               "lower bound": "p99_is_lower_bound", "short warm-up": "short_warmup"}  # fmt: skip
    if mark in columns:
        assert row[columns[mark]]
    if mark != "extrapolated":
        assert mark in row["flags"]


@pytest.mark.parametrize("mark", MARKS)
def test_the_plot_of_a_run_says_it(runs, mark):
    (text,) = runs[mark].plot().axes[0].get_legend().get_texts()
    assert mark in text.get_text()


def test_two_runs_on_one_plot_have_two_colours(runs):
    figure = runs["thin tail"].plot()
    runs["lower bound"].plot(figure.axes[0])
    assert len({line.get_color() for line in figure.axes[0].lines}) == 2


# --- a sweep -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", MARKS)
def test_levels_metrics_and_runs_say_it(runs, sweep, mark):
    run = runs[mark]
    level = row_of(sweep.levels().to_dict("records"), run)
    (p99,) = [row for row in sweep.metrics().to_dict("records")
              if row["system"] == run.system and row["metric"] == "p99_latency_ms"]  # fmt: skip
    if mark in {"overloaded", "extrapolated"}:
        assert level[mark]
        assert p99[mark]
        assert row_of(sweep.to_frame().to_dict("records"), run)[mark]
    if mark == "lower bound":
        assert "p99_latency_ms" in level["lower_bounds"]
        assert p99["lower_bound"]
    if mark in {"overloaded", "short warm-up"}:
        assert mark in level["flags"]["p99_latency_ms"]
        assert mark in p99["flags"]
        assert not p99["reliable"]


def test_an_overloaded_level_has_no_latency_in_any_frame(runs, sweep):
    run = runs["overloaded"]
    level = row_of(sweep.level_rows(), run)
    assert all(value is None for name, value in level.items() if is_latency(name))
    latencies = [row for row in sweep.metric_rows()
                 if row["system"] == run.system and is_latency(row["metric"])]  # fmt: skip
    assert len(latencies) == 9
    assert all(row["value"] is row["ci_low"] is row["ci_high"] is None for row in latencies)
    found = sweep.compare(run.system, "piling", metric="p99", agents=40)
    assert math.isnan(found.a.value)
    assert "overloaded" in found.ratio.flags


def test_a_level_of_which_some_runs_are_overloaded_says_so(runs):
    run = runs["overloaded"]
    fine = [evolve(run, overloaded=False, seed=seed) for seed in (2, 3, 4)]
    (level,) = Sweep((), results=(run, *fine)).level_rows()
    assert not level["overloaded"]
    assert level["p99_latency_ms"] is not None
    assert "overloaded" in level["flags"]["p99_latency_ms"]


def test_the_card_of_a_sweep_has_marks_and_their_meaning(runs, sweep):
    text = html.unescape(sweep._repr_html_())
    lines = {row.split("</td>")[0].rpartition(">")[2]: row for row in text.split("<tr")[2:]}
    over = lines[runs["overloaded"].system]
    assert over.count(f"<td>{UNKNOWN}</td>") == 3
    assert "/s</td>" in over  # at which the backlog grows
    assert "<td>>" in lines["sleepy"]
    assert "10*" in lines["beyond"]
    assert "100?" in lines["starting"]
    for mark in ("extrapolated", "lower bound", "overloaded", "short warm-up"):
        assert mark in text.partition("<table")[0]


def test_a_knee_beyond_the_calibration_says_so(runs):
    run = runs["extrapolated"]
    (system,) = [evolve(lhsim.load_system("push"), name=run.system,
                        calibration=Calibration(agents=(1.0, 2.0)))]  # fmt: skip
    sweep = Sweep((system,), results=(run,), knees={run.system: Knee(98, 102, "cpu")})
    assert sweep.knee_sentences()[run.system].endswith("bottleneck: cpu; extrapolated")
    assert "; extrapolated" in sweep._repr_html_()
    wide = evolve(sweep, knees={run.system: Knee(1, 12, "cpu")})
    assert wide.knee_sentences()[run.system].endswith("bottleneck: cpu; extrapolated")
    known = evolve(sweep, systems=(evolve(system, calibration=None),))
    assert known.knee_sentences()[run.system].endswith("bottleneck: cpu")


# --- the command line and the report --------------------------------------------------------------


@pytest.fixture(scope="module")
def done(folder):
    """Run a command on the small systems; return its stdout, and leave its folder."""
    kept = {}

    def run(*words, out):
        if (words, out) not in kept:
            text = io.StringIO()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                patch.setattr("sys.stdout", text)
                assert cli.run([*words, "--output-dir", out, *QUIET]) == 0
            kept[words, out] = text.getvalue()
        return kept[words, out]

    return run


SCALING = (
    *("scaling", "--system", "./piling.toml", "--system", "./sleepy.toml", "--agents", "2,40"),
    *("--replications", "1", "--duration", "20", "--agents-per-server", "1000"),
    *("--set", "workload.traffic.rate=1/s", "--set", "polling.interval=8s"),
)
RUN = ("run", "./mine.toml", "--duration", "12")


@pytest.mark.parametrize("words", [SCALING, RUN])
def test_tables_have_marks(done, words):
    text = done(*words, out=words[0])
    table, _, notes = text.partition("\n* extrapolated")
    over = [line for line in table.splitlines() if line.endswith("/s") and " +" in line]
    assert over
    assert all("*?" in line and cells_of(line).count(UNKNOWN) >= 2 for line in over)
    assert re.search(r" >\d", table)
    for mark in ("extrapolated", "lower bound", "overloaded", "few replications"):
        assert mark in f"extrapolated{notes}"


@pytest.mark.parametrize("words", [SCALING, RUN])
def test_json_and_csv_have_marks_and_no_latency_of_what_is_overloaded(done, words):
    as_json = json.loads(done(*words, "--format", "json", out=words[0]))
    as_csv = list(csv.DictReader(io.StringIO(done(*words, "--format", "csv", out=words[0]))))
    over = [row for row in as_json if row["overloaded"]]
    assert over
    assert all(row[name] is None for row in over for name in row if is_latency(name))
    flagged = [row for row in as_csv if row["overloaded"] == "True"]
    assert len(flagged) == len(over)
    assert all(row[name] == "" for row in flagged for name in row if is_latency(name))
    assert all("few replications" in row["flags"] for row in as_csv)
    assert any("p99_latency_ms" in row["lower_bounds"] for row in as_json if row not in over)
    assert any(row["extrapolated"] for row in as_json)


def test_files_of_a_sweep_have_no_latency_of_what_is_overloaded(done, folder):
    done(*SCALING, out="scaling")
    runs = pd.read_parquet(folder / "scaling/runs.parquet")
    metrics = pd.read_parquet(folder / "scaling/metrics.parquet")
    latencies = [name for name in runs if is_latency(name)]
    assert runs[runs["overloaded"]][latencies].isna().all(axis=None)
    over = metrics[metrics["overloaded"] & metrics["metric"].map(is_latency)]
    assert len(over)
    assert over[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert {"flags", "lower_bound", "extrapolated"} <= set(metrics)


def page_rows(text):
    table = text[text.index("<table>") : text.index("</table>")]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cut = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in cut]


def test_the_report_has_marks_their_meaning_and_units(done, folder):
    done(*SCALING, out="scaling")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdout", io.StringIO())
        assert cli.run(["report", "scaling"]) == 0
    page = (folder / "scaling/report.html").read_text(encoding="utf-8")
    titles, *rows = page_rows(page)
    by_level = {(row[0], row[1].strip("*?")): dict(zip(titles, row, strict=True)) for row in rows}
    over, late = by_level["piling", "40"], by_level["sleepy", "40"]
    for name in ("mean", "p50", "p95", "p99", "max"):
        assert over[name] == "\N{EN DASH}"
        assert late[name].startswith(">") or name == "p50"
    assert over["agents"] == "40*?"
    assert float(over["backlog grows by [1/s]"]) > 1
    assert float(late["delivered [%]"]) < 100
    notes = page[page.index('class="legend"') :]
    for mark in ("extrapolated", "lower bound", "overloaded", "few replications"):
        assert mark in notes[: notes.index("</ul>")]


def test_latency_says_what_speaks_against_it(done):
    words = ("latency", "--system", "./alone.toml", "--replications", "1", "--duration", "20")
    text = done(*words, out="latency")
    assert "alone*?" in text
    assert "few replications" in text
    assert "extrapolated" in text


def test_capacity_has_marks_units_and_no_latency_of_what_is_overloaded(folder):
    found = capacity(lhsim.load_system(folder / "piling.toml"), ["p99<2s"], most=64, seed=7)
    told = found.to_dict()
    assert (told["system"], told["seed"]) == ("piling", 7)
    over = [level for level in told["evaluations"] if level["overloaded"]]
    assert over
    for level in over:
        (figure,) = level["figures"]
        assert figure["value"] is None
        assert figure["interval"] == [None, None]
        assert "overloaded" in figure["flags"]
        assert figure["unit"] == "s"
    frame = found.to_frame()
    assert frame[frame["overloaded"]]["figure"].isna().all()
    assert set(frame["unit"]) == {"s"}
    assert frame["flags"].str.contains("overloaded").any()
    text = capacity_table(told)
    assert "\n* extrapolated" in text
    assert "\noverloaded: " in text
    labels = [line.get_xdata()[0] for line in found.plot().axes[0].lines if len(line.get_xdata())]
    assert not {level["value"] for level in over} & set(labels)


def test_every_flag_has_a_meaning_that_tables_give():
    from lhsim.report.marks import legend

    for flag in flags.MEANINGS:
        row = {"agents": 1, "p99_latency_ms": 2.0, "flags": {"p99_latency_ms": [flag]}}
        (line,) = legend([row], ["p99_latency_ms"])
        assert "lower bound" in line if flag == flags.LOWER_BOUND else flag in line
