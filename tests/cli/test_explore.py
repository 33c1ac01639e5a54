"""``lhsim explore``: bad input, the server from its start to Ctrl-C, and the page in a browser."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from lhsim import cli
from lhsim.experiments import extras
from lhsim.explore import kept

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 1.0  # in which a move is answered, warm


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["pul"], "unknown system 'pul'; allowed: polling"),
        (["./none.toml"], "none.toml: does not exist"),
        (["./own.toml"], "own.toml: server.kind: 'mine:Mine' is not one of lhsim's own, and a file "
                         "of data runs no code"),
        (["--port", "65536"], "--port: 65536 is out of range"),
        (["--host", "0.0.0.0"], "No such option '--host'"),
        (["-o", "polling.toml/page.html"], "-o: 'polling.toml' cannot be written"),
        (["-o", "."], ".: is a folder"),
        (["-o", "page.html", "--port", "0"], "--port: changes nothing; allowed: only without"),
        (["-o", "page.html", "--no-browser"], "--no-browser: changes nothing"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(folder, capsys, arguments, line):
    (folder / "own.toml").write_text('name = "own"\n[server]\nkind = "mine:Mine"\n')
    before = sorted(folder.rglob("*"))
    assert cli.run(["explore", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_a_port_that_is_taken(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.run(["explore", "--port", port, "--no-browser"]) == 2
    assert capsys.readouterr().err == (
        f"lhsim: error: --port: {port} cannot be listened on: Address already in use; "
        "allowed: a free port, or 0 for any\n"
    )


def test_a_missing_extra_is_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    assert cli.run(["explore"]) == 2
    assert capsys.readouterr().err == (
        "lhsim: error: lhsim explore: starlette, uvicorn are not installed; "
        "allowed: after pip install 'lhsim[live]'\n"
    )


@pytest.fixture
def url(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The URL of ``lhsim explore ./polling.toml``, which Ctrl-C ends cleanly."""
    for needed in ("starlette", "uvicorn"):
        pytest.importorskip(needed, reason="the extra live is not installed")
    command = [
        sys.executable,
        "-m",
        "lhsim.experiments",
        "explore",
        "./polling.toml",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    said = [line for line in errors.splitlines() if "compiling the engine" not in line]
    assert (process.returncode, output, said) == (0, "", ["lhsim: stop with Ctrl-C"])


def test_ctrl_c_ends_it_while_it_computes(url):
    with urllib.request.urlopen(f"{url}/answers?system=push&agents=1000") as response:
        assert json.loads(response.readline())["system"] == "push"
        # What follows takes a minute; the fixture sends Ctrl-C now.


def test_it_listens_on_loopback_alone(url):
    port = int(url.rpartition(":")[2])
    assert url == f"http://127.0.0.1:{port}"
    request = urllib.request.Request(url, headers={"Host": f"rebound.example:{port}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 400


# --- in a browser --------------------------------------------------------------------------------


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


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains of, and addresses that are not the page's."""
    return []


@pytest.fixture
def opened(browser: Any, complaints: list[str]) -> Iterator[Any]:
    """Open a page; complaints fail in the end."""
    contexts = []

    def open_page(url: str, *, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        origin = url.split("#", maxsplit=1)[0].rstrip("/")
        page.on("request", lambda one: one.url.startswith((origin, "data:"))
                or complaints.append(one.url))  # fmt: skip
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


SMALL = "system=polling+(./polling.toml)&agents=40&slo=p99<2s"


def wait(page: Any, condition: str, seconds: float = 60) -> None:
    """Wait for what a script says; Playwright's own wait needs what the page's policy forbids."""
    until = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < until, condition
        time.sleep(0.02)


def text(name: str) -> str:
    return f"document.getElementById({name!r}).innerText"


def answered(page: Any) -> str:
    """Return the answer once it is whole."""
    wait(page, f"{text('again')}.includes('Capacity:') && {text('status')} === ''")
    return page.locator("#answer").inner_text()


def test_a_move_of_a_slider_is_answered_within_a_second(url, opened):
    page = opened(f"{url}#{SMALL}")
    answered(page)
    times = []
    for _ in range(3):
        page.evaluate(
            """() => {
              const [slider, figures, chart, result] =
                ["interval", "figures", "chart", "result"].map((id) => document.getElementById(id));
              const before = [figures.textContent, chart.firstChild], began = performance.now();
              window.took = null;
              new MutationObserver(() => {
                if (figures.textContent !== before[0] && chart.firstChild !== before[1])
                  window.took ??= performance.now() - began;
              }).observe(result, { childList: true, subtree: true });
              slider.value = Number(slider.value) - 1;
              slider.dispatchEvent(new Event("input"));
            }"""
        )
        wait(page, "window.took !== null")
        times.append(page.evaluate("window.took") / 1e3)
    print(f"answered after {times} s")
    assert min(times) < SECONDS  # the others may have waited for another program


def test_the_python_that_is_copied_prints_the_figure(url, opened):
    page = opened(f"{url}#{SMALL}&interval=0.5s")
    answered(page)
    for title, button in (("p99 with 40 agents: ", "Copy Python"),
                          ("Capacity: ", "Copy Python of the capacity")):  # fmt: skip
        shown = page.locator("#again p", has_text=title).inner_text()
        page.locator("#again").get_by_role("button", name=button, exact=True).click()
        line = page.evaluate("navigator.clipboard.readText()")
        with redirect_stdout(io.StringIO()) as output:
            exec(line, {})
        assert shown.removeprefix(title).split()[0] == output.getvalue().strip()


def test_a_link_restores_the_state(url, opened):
    first = opened(f"{url}#{SMALL}")
    answer = answered(first)
    first.locator("#agents").focus()
    first.keyboard.press("ArrowRight")
    wait(first, f"{text('answer')} !== {json.dumps(answer)}")
    assert "agents=50" in first.url
    answered(first)
    second = opened(first.url)
    answered(second)
    for shown in ("#answer", "#figures", "#agents-text", "#interval-text", "#table", "#again"):
        assert second.locator(shown).inner_text() == first.locator(shown).inner_text()
    assert second.locator("#systems input:checked").count() == 1


def test_a_state_that_comes_back_is_there_at_once(url, opened):
    page = opened(f"{url}#{SMALL}")
    before = answered(page)
    page.locator("#agents").press("ArrowRight")
    answered(page)
    wait(page, f"{text('answer')} !== {json.dumps(before)}")
    began = time.monotonic()
    page.locator("#agents").press("ArrowLeft")
    wait(page, f"{text('answer')} === {json.dumps(before)}")
    assert time.monotonic() - began < SECONDS


def test_a_bad_objective_is_said_and_a_good_one_answered(url, opened, complaints):
    page = opened(f"{url}#{SMALL}")
    answered(page)
    page.locator("#slo").fill("p99<fast")
    wait(page, f"{text('error')}.startsWith(\"slo: p99<fast: 'fast' is no limit of 'p99'\")")
    page.locator("#slo").fill("p99<200ms")
    wait(page, f"{text('answer')} === 'No chosen system meets p99<200ms with 40 agents.'")
    assert page.locator("#error").inner_text() == ""
    assert [one for one in complaints if "400 (Bad Request)" not in one] == []
    complaints.clear()


def test_a_link_to_what_is_not_offered_says_so(url, opened):
    page = opened(f"{url}#system=mine&agents=40")
    said = "The link says system=mine, which this page does not offer."
    wait(page, f"{text('error')} === {json.dumps(said)}")
    page.locator("#agents").press("ArrowRight")
    wait(page, f"{text('answer')}.startsWith('Choose ')")
    assert page.locator("#error").inner_text() == ""


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_fits_and_has_names_for_all(url, opened, width, scheme):
    page = opened(f"{url}#{SMALL}", width=width, scheme=scheme)
    answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    said = page.locator("#said")
    assert (said.get_attribute("aria-live"), said.text_content()[:7]) == ("polite", "Choose ")
    for name in ("Agents", "Polling interval", "Messages of each agent", "Connections"):
        slider = page.get_by_role("slider", name=name)
        assert slider.get_attribute("aria-valuetext")
    assert page.get_by_role("textbox", name="Objective").or_(
        page.get_by_role("combobox", name="Objective")).count() == 1  # fmt: skip
    assert "40" in page.get_by_role("img").get_attribute("aria-label")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_file_needs_no_server(folder, opened, monkeypatch, capsys):
    monkeypatch.setattr(kept, "OBJECTIVES", ("p99<1500ms", "p99<100ms"))
    monkeypatch.setattr(kept, "FACTORS", (0.5,))
    assert cli.run(["explore", "-o", "page.html", "--no-progress"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "page.html\n"
    page = opened((folder / "page.html").as_uri() + "#agents=200")
    wait(page, f"{text('answer')} !== ''")
    assert (
        page.locator("#answer")
        .inner_text()
        .startswith("Choose polling: it meets p99<1500ms with 200")
    )
    line = page.locator("#again pre", has_text="simulate").first.inner_text()
    with redirect_stdout(io.StringIO()) as output:
        exec(line, {})
    assert f": {output.getvalue().strip()} s" in page.locator("#again").inner_text()
    before = page.locator("#figures").inner_text()
    page.locator("#interval").press("ArrowLeft")
    wait(page, f"{text('figures')} !== {json.dumps(before)}")
    assert re.search(r"interval=0\.5s", page.url)
    page.locator("#slo").fill("p99<100ms")
    wait(page, f"{text('answer')}.startsWith('Choose polling with')")
    assert os.path.getsize(folder / "page.html") < 2_000_000
