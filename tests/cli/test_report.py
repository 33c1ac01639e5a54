"""``lhsim report`` from a folder to a file, and the file in a browser."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

import lhsim
from lhsim import _resources
from lhsim.analysis.plots import save
from lhsim.cli import run
from lhsim.experiments.finding import Column, Described, Finding, Picture, Table
from lhsim.experiments.reporting import system_view, write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def described(name: str) -> Described:
    text = _resources.find("models", name).read_text(encoding="utf-8")
    return Described(name, lhsim.load_system(name).architecture, text)


def write(folder: Path, name: str = "latency") -> Path:
    """Write the finding of an experiment with all that one can have."""
    figure = Figure()
    figure.add_subplot().plot([1, 2], [3, 4], gid="line")
    (folder / name).mkdir(parents=True)
    save(figure, folder / name / "plot.svg", "svg")
    rows = tuple({"system": s, "p99": p} for s, p in (("b", 9.5), ("a", 20.0), ("c", None)))
    columns = (Column("system", "system"), Column("p99", "p99", "ms"))
    Finding(
        name, f"E1 {name}", "How long?", "Not long.", tables=(Table("t", "Levels", columns, rows),),
        figures=(Picture("plot.svg", "A line.", "a line that rises"),),
        systems=(described("polling"), described("seed-push")), command=f"lhsim {name}",
        limits=("one host",), version="0.1.0", hash="ab" * 32, seconds=3.0,
        claims=({"claim": "x", "claimed": 1, "figure": 2.0, "verdict": "refuted"},),
        alerts=({"alert": "HighLatency", "severity": "warning", "threshold": "> 1000",
                 "fired_at_s": 12.5},),
    ).write(folder / name)  # fmt: skip
    return folder


def test_the_command_writes_one_file_and_says_which(tmp_path, capsys):
    write(tmp_path)
    assert run(["report", str(tmp_path)]) == 0
    file = tmp_path / "report.html"
    assert capsys.readouterr().out == f"{file}\n"
    first = file.read_bytes()
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "new" / "other.html")]) == 0
    assert (tmp_path / "new" / "other.html").read_bytes() == first


def test_the_folder_of_one_experiment_is_one_too(tmp_path):
    page = write_report(write(tmp_path) / "latency").read_text(encoding="utf-8")
    assert "1 experiment with lhsim 0.1.0; 1 done." in page


def test_systems_are_shown_with_what_each_parameter_is_and_comes_from():
    view = system_view(described("polling"))
    rows = {row["parameter"]: row for row in view.parameters}
    assert ("Range: agents", "10 to 1100") in view.calibration
    assert rows["cpu.parse_request"]["value"].startswith("mean ")
    assert rows["cpu.parse_request"]["samples"] == 2000
    assert "held-out KS" in rows["cpu.parse_request"]["source"]
    assert rows["memory.per_agent"]["value"] == "10,000 B"
    assert rows["polling"]["source"].startswith("the original's constants")
    assert rows["network.up"]["value"] == "58.86 us"
    assert rows["cpu.warmth.gaps"]["value"] == "0 s … 30 ms (13 values)"
    seed = {row["parameter"]: row for row in system_view(described("seed-push")).parameters}
    assert seed["workload.traffic.rate"]["value"] == "1 1/s"
    assert (
        seed["workload.traffic.rate"]["source"]
        == "the original proposal's table of throughput at 1000 agents"
    )


def test_a_parameter_that_was_set_is_shown_as_it_ran_and_not_as_the_file_has_it(tmp_path, capsys):
    folder = str(tmp_path / "scaling")
    asked = ["--system", "polling", "--agents", "1", "--replications", "1", "--duration", "30"]
    asked += ["--set", "polling.interval=100ms", "--output-dir", folder, "--no-progress"]
    assert run(["scaling", *asked]) == 0
    (system,) = Finding.read(tmp_path / "scaling").systems
    rows = {row["parameter"]: row for row in system_view(system).parameters}
    assert rows["polling.interval"]["value"] == "100 ms"
    assert rows["polling.interval"]["source"] == "set here"
    assert rows["cpu.parse_request"]["source"] != "set here"


@pytest.mark.parametrize("toml", ["[", 'name = "x"\nnew_table = 1', "name = 1"])
def test_the_file_of_a_system_that_cannot_be_read_is_shown_as_it_is(toml):
    view = system_view(Described("x", "push", toml))
    assert "cannot read the file" in view.description
    assert (view.parameters, view.toml) == ((), toml)


def test_a_bad_folder_is_one_line_and_exit_code_2(tmp_path, capsys):
    bad = tmp_path / "bad"
    (tmp_path / "empty").mkdir()
    for broken in ("no json", "kinds", "svg", "missing"):
        write(bad / broken)
    (bad / "no json" / "latency" / "finding.json").write_text("{")
    content = json.loads((bad / "kinds" / "latency" / "finding.json").read_text())
    (bad / "kinds" / "latency" / "finding.json").write_text(json.dumps(content | {"title": 3}))
    (bad / "svg" / "latency" / "plot.svg").write_text("<html>")
    (bad / "missing" / "latency" / "plot.svg").unlink()
    folders = [tmp_path / "nowhere", tmp_path / "empty", *sorted(bad.iterdir())]
    for folder in folders:
        assert run(["report", str(folder)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert str(folder) in captured.err
        assert not (folder / "report.html").exists()


def test_a_plot_is_looked_for_in_its_folder_alone(tmp_path):
    home = write(tmp_path) / "latency"
    shutil.copy(home / "plot.svg", tmp_path / "outside.svg")
    content = json.loads((home / "finding.json").read_text())
    content["figures"][0]["file"] = "../outside.svg"
    (home / "finding.json").write_text(json.dumps(content))
    assert run(["report", str(tmp_path)]) == 2


def test_an_output_that_cannot_be_written_is_one_line(tmp_path, capsys):
    write(tmp_path)
    (tmp_path / "file").touch()
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "file" / "x.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        # Everything runs in a container as root, where Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[("light", 1200), ("dark", 390)], ids=["light, desk", "dark, phone"])
def page(request: pytest.FixtureRequest, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The report, opened; a complaint of the browser or anything asked of a network fails."""
    scheme, width = request.param
    file = write_report(write(tmp_path))
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True
    )
    page, complaints, asked = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert complaints == []
    assert asked == [file.as_uri()]
    context.close()


def column(page: Any) -> list[str]:
    return page.locator("#latency table").first.locator("tbody tr td:first-child").all_inner_texts()


def test_a_table_is_sorted_by_a_click_and_by_a_key(page):
    heading = page.locator("#latency th", has_text="p99").first
    assert column(page) == ["b", "a", "c"]
    heading.get_by_role("button").click()
    assert (heading.get_attribute("aria-sort"), column(page)) == ("ascending", ["b", "a", "c"])
    page.keyboard.press("Enter")
    assert (heading.get_attribute("aria-sort"), column(page)) == ("descending", ["a", "b", "c"])
    system = page.locator("#latency th", has_text="system").first
    system.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert (system.get_attribute("aria-sort"), column(page)) == ("ascending", ["a", "b", "c"])
    assert heading.get_attribute("aria-sort") is None


def test_what_is_folded_away_opens(page):
    table = page.locator("#latency details table").first
    assert not table.is_visible()
    page.locator("#latency summary").first.click()
    assert table.is_visible()
    assert "held-out KS" in table.inner_text()


@pytest.mark.rendered
def test_the_page_fits_its_window_and_the_plot_can_be_seen(page):
    width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    plot = page.locator("figure img")
    assert plot.get_attribute("alt") == "a line that rises"
    assert plot.evaluate("one => one.complete && one.naturalWidth > 0")
    surface = page.locator("#latency").evaluate("one => getComputedStyle(one).backgroundColor")
    assert surface == ("rgb(22, 24, 28)" if dark else "rgb(255, 255, 255)")
    drawn = Image.open(io.BytesIO(plot.screenshot())).convert("RGB")
    assert f"rgb{drawn.getpixel((3, 3))}" == surface
    assert len(drawn.getcolors(1_000_000)) > 10


def test_the_first_tab_leads_to_the_summary(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the summary"
    page.keyboard.press("Enter")
    page.wait_for_url("**#summary")
