"""Malformed files of every kind that lhsim reads, and what has to be true when one is read.

A trial makes a folder with one file that is wrong (or happens to be right), and lets lhsim read it
as a user would: mostly by the function behind a command, now and then by the command itself. It may
be refused by an `lhsim.LhsimError` of one line; a traceback, a warning, an import of what the file
names, a file that changed although the command ended with 2: each is a failure.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
from attrs import frozen
from mutations import as_parquet, mutated, mutated_table
from watch import OK

import lhsim
from lhsim import _resources, cli
from lhsim.errors import LhsimError

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "notebooks" / "data" / "calibrate" / "30-agents-seed-1"
BY_COMMAND = 25  # one trial of so many goes by the command line
EXIT_CODES = {0, 1, 2, 3}
EXECUTED = "executed: what the file names was imported"

# Whatever imports this module leaves a trace.
CANARY = "from pathlib import Path\nPath('executed').touch()\nclass Canary: pass\n"

# The keys at which a model may name one: a kind, or a thing with its defaults.
CLASSES = (
    *("kind", "family", "server", "traffic", "base", "think", "pause", "up", "down"),
    *("write", "query", "parse_message", "parse_request", "validate", "respond", "acknowledge"),
    *("send", "connect", "gap", "length", "cost"),
)

QUICK = ["--jobs", "1", "--output-dir", "out", "--quiet"]
SHORT = [*QUICK, "--replications", "1", "--max-events", "2000", "--engine", "simpy"]
CROSSCHECK = ["crosscheck", "--model", "polling", "--live", "recording", "--quiet"]
SCALING = ["scaling", "--agents", "2,5", "--duration", "2s", *SHORT]


@frozen
class Kind:
    """A kind of file."""

    name: str
    make: Callable[[Random], None]  # writes the file of a trial into the working directory
    read: Callable[[], object]  # reads it by the function behind the command
    command: Sequence[str]  # reads it by the command
    is_code: bool = False  # a class that it names as such is imported: docs/how-to/own-models.md


def attempt(kind: Kind, number: int) -> str:
    """Return what a trial came to."""
    random = Random(f"{kind.name} {number}")
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        os.chdir(folder)
        Path("canary.py").write_text(CANARY)
        try:
            kind.make(random)
            found = _judged(kind, by_command=number % BY_COMMAND == 0)
            return OK if found == EXECUTED and kind.is_code and _names_a_class() else found
        finally:
            sys.modules.pop("canary", None)
            os.chdir(before)


def _names_a_class() -> bool:
    """Return whether a model says that something it is made of is a class of a module."""
    text = Path("model.toml").read_text(errors="replace")
    return re.search(rf'({"|".join(CLASSES)})\W*= *"canary:Canary"', text) is not None


def _judged(kind: Kind, *, by_command: bool) -> str:
    before = _contents()
    stream = io.StringIO()
    code: int | None = None
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(stream),
        ):
            warnings.simplefilter("always")
            if by_command:
                code = cli.run([*kind.command])
            else:
                kind.read()
    except LhsimError as error:
        if "\n" in str(error) or not str(error).isprintable():
            return f"not one printable line: {str(error)[:200]!r}"
    except BaseException as error:  # what a user would see as a traceback
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"traceback: {type(error).__name__}: {str(error)[:120]!r} at {where}"
    return _side_effects(before, code, stream.getvalue(), [str(one.message) for one in warned])


def _side_effects(
    before: dict[str, int], code: int | None, said: str, warned: Sequence[str]
) -> str:
    new = sorted(set(_contents()) - set(before))
    faults = {
        EXECUTED: Path("executed").exists(),
        f"exit code {code}: {said[-200:]!r}": code is not None and code not in EXIT_CODES,
        f"traceback: {said[-200:]!r}": "Traceback" in said,
        f"warning: {warned[:1]}": bool(warned),
        f"partial file: {new[:5]} and exit code 2": code == 2 and _contents() != before,
        f"not one line: {said[:200]!r}": code == 2 and said.count("\n") != 1,
    }
    return next((fault for fault, found in faults.items() if found), OK)


def _contents() -> dict[str, int]:
    """Return the checksums of all files here, by their paths."""
    files = (
        path for path in Path().rglob("*") if path.is_file() and "__pycache__" not in str(path)
    )
    return {str(path): zlib.crc32(path.read_bytes()) for path in files}


# The kinds


@cache
def _models() -> list[bytes]:
    names = ("polling", "push", "seed-polling", "seed-push")
    files = [_resources.find("models", name) for name in names]
    files += [ROOT / "lhsim" / "experiments" / "start" / "server.toml"]
    return [*(file.read_bytes() for file in files), *OWN_MODELS]


OWN_MODELS = (
    b"""name = "options"
[workload]
topology = "ring"
start = "random"
traffic = { kind = "poisson", rate = "2/s" }
[cpu]
workers = 2
parse_message = { family = "deterministic", value = "1 ms" }
query = { family = "mixture", weights = [0.5, 0.5], components = [
  { family = "exponential", mean = "2 ms" },
  { family = "lognormal", median = "1 ms", sigma = 0.5 },
] }
[cpu.stalls]
gap = { family = "exponential", mean = "1 s" }
length = { family = "deterministic", value = "5 ms" }
[store]
connections = 2
query = { family = "gamma", mean = "1 ms", shape = 4.0 }
[polling]
interval = "100 ms"
timeout = "1 s"
wake_on_write = true
[network]
up = { family = "uniform", low = 0, high = "2 ms" }
[calibration]
agents = [1, 50]
""",
    b"""name = "pushing"
[workload]
traffic = { kind = "closed", messages = 5 }
[cpu]
send = { family = "empirical", samples = [0.001, 0.002, 0.004] }
[push]
connections = 20
agents_per_connection = 2
[[faults]]
kind = "slowdown"
at = "50 ms"
duration = "50 ms"
factor = 3
""",
    b"""name = "nodes"
[nodes]
count = 3
rule = "two_choices"
affinity = true
link = { family = "exponential", mean = "1 ms" }
[workload]
topology = "random"
payload = { family = "lognormal", median = "2 kB", sigma = 1.0 }
traffic = { kind = "poisson", rate = "2/s" }
[[workload.classes]]
name = "few"
share = 0.25
rate = "5/s"
payload = "100 kB"
target = "many"
[[workload.classes]]
name = "many"
share = 0.75
[workload.classes.network]
up = { family = "exponential", mean = "10 ms" }
bandwidth = "20 Mbit/s"
[cpu]
workers = 2
[cpu.per_byte]
parse_message = "1.5 ns"
validate = "3 ns"
send = "1 ns"
[store]
write = { family = "deterministic", value = "1 ms" }
write_per_byte = "2 ns"
[push]
connections = 20
reconnect = { family = "exponential", mean = "20 ms" }
[[faults]]
kind = "node"
at = "100 ms"
duration = "50 ms"
node = 1
""",
    b"""name = "queue"
[workload]
topology = "queue"
producers = 1
think = { family = "exponential", mean = "20 ms" }
traffic = { kind = "poisson", rate = "20/s" }
[polling]
hold = false
interval = "20 ms"
jitter = 0.1
limit = 3
visibility = "50 ms"
wake_on_write = false
growth = { factor = 2.0, longest = "100 ms" }
""",
    b"""name = "webhooks"
[workload]
traffic = { kind = "piecewise", pieces = [
  { duration = "100 ms", rate = "1/s" },
  { duration = "50 ms", rate = "50/s" },
] }
[cpu]
send = { family = "deterministic", value = "1 ms" }
[push.webhook]
attempts = 3
timeout = "50 ms"
backoff = "10 ms"
factor = 2.0
longest = "50 ms"
failure = 0.2
in_flight = 2
think = { family = "lognormal", median = "20 ms", sigma = 1.0 }
""",
    b"""name = "web"
[requests]
workers = 4
answer_payload = "20 kB"
[nodes]
count = 2
rule = "least_connections"
[cpu]
query = { family = "exponential", mean = "20 ms" }
[workload]
payload = "1 kB"
traffic = { kind = "piecewise", pieces = [
  { duration = "100 ms", rate = "1/s" },
  { duration = "50 ms", rate = "50/s" },
] }
""",
)


def make_model(random: Random) -> None:
    Path("model.toml").write_bytes(mutated(random.choice(_models()), random))


def read_model() -> object:
    system = lhsim.load_system("./model.toml")
    return lhsim.simulate(system, agents=2, duration=0.2, engine="simpy", samples=2)


@cache
def _experiments() -> list[bytes]:
    files = [*(ROOT / "experiments").glob("*.toml"), ROOT / "lhsim/experiments/start/sweep.toml"]
    return [path.read_bytes() for path in sorted(files)]


def make_experiment(random: Random) -> None:
    text = random.choice(_experiments())
    Path("experiment.toml").write_bytes(mutated(text, random))


def read_experiment() -> object:
    from lhsim import parameters
    from lhsim.experiments.specification import KINDS

    data = parameters.read_toml("experiment.toml")
    kind = data.get("kind", "scaling")
    cls = KINDS[kind] if isinstance(kind, str) and kind in KINDS else KINDS["sweep"]
    return parameters.structure(data, cls, source="experiment.toml")


@cache
def _log() -> pd.DataFrame:
    random = np.random.default_rng(1)
    sent = np.sort(random.uniform(0, 20, 400))
    delivered = sent + 0.002 + random.exponential(0.003, 400)
    columns = {"intended_s": sent, "sent_s": sent, "delivered_s": delivered}
    return pd.DataFrame({**columns, "agent": random.integers(0, 20, 400)})


def _make_table(name: str, table: pd.DataFrame, random: Random) -> None:
    """Write a table with wrong values or types, or its bytes with changes; as CSV or Parquet."""
    if random.random() < 0.5:
        table = mutated_table(table, random)
    parquet = as_parquet(table) if random.random() < 0.5 else None
    content = table.to_csv(index=False).encode() if parquet is None else parquet
    if random.random() < 0.5:
        content = mutated(content, random)
    Path(name).write_bytes(content)
    for suffix in (".csv", ".parquet"):  # what it holds may be something else
        shutil.copy(name, Path(name).stem + suffix)
    Path(name).unlink()
    other = ".csv" if parquet is not None else ".parquet"
    if random.random() < 0.9:
        Path(name).with_suffix(other).unlink()


def _tables(stem: str) -> list[Path]:
    return [Path(stem + end) for end in (".csv", ".parquet") if Path(stem + end).exists()]


def make_log(random: Random) -> None:
    _make_table("log.table", _log(), random)


def read_log() -> object:
    from lhsim.calibration.logs import read_log as read

    return [read(path) for path in _tables("log")]


@cache
def _components() -> pd.DataFrame:
    random = np.random.default_rng(2)
    names = np.repeat(["cpu.parse_message", "cpu.query", "store.query"], 40)
    return pd.DataFrame({"component": names, "seconds": random.exponential(1e-3, len(names))})


def make_components(random: Random) -> None:
    _make_table("components.table", _components(), random)


def read_components() -> object:
    from lhsim.calibration.components import read_components as read
    from lhsim.calibration.components import with_components

    template = lhsim.load_system("polling")
    return [with_components(template, read(path)) for path in _tables("components")]


def make_recording(random: Random) -> None:
    shutil.copytree(RECORDING, "recording")
    if random.random() < 0.6:
        path = Path("recording/manifest.toml")
        path.write_bytes(mutated(path.read_bytes(), random))
        return
    path = Path("recording") / random.choice(["messages.parquet", "counters.parquet"])
    if random.random() < 0.5:
        table = as_parquet(mutated_table(pd.read_parquet(path), random))
        path.write_bytes(table or b"")
    else:
        path.write_bytes(mutated(path.read_bytes(), random))


def prepare() -> None:
    """Compile what the commands run, as a first trial that does would seem to hang."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        os.chdir(folder)
        try:
            shutil.copytree(RECORDING, "recording")
            with contextlib.redirect_stdout(io.StringIO()):
                cli.run([*CROSSCHECK])
        finally:
            os.chdir(before)


def read_recording() -> object:
    from lhsim.recording import Recording

    found = Recording.read(Path("recording"))
    return found.to_frame(), found.alerts()


@cache
def _result() -> dict[str, bytes]:
    """Return the files that a small experiment leaves, by their names."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                assert cli.run([*SCALING, "--system", "push"]) == 0
        finally:
            os.chdir(before)
        return {path.name: path.read_bytes() for path in (Path(folder) / "out").iterdir()}


def make_result(random: Random) -> None:
    contents = dict(_result())
    name = random.choice(["finding.json"] * 4 + ["manifest.json", "scaling.svg"])
    contents[name] = mutated(contents[name], random)
    Path("out").mkdir()
    for name, content in contents.items():
        (Path("out") / name).write_bytes(content)


def read_result() -> object:
    from lhsim.experiments.finding import Finding

    return Finding.read(Path("out"))


def make_folder(random: Random) -> None:
    """Damage the data of a result, mostly so that its manifest has the digest of what is there."""
    from lhsim.experiments.output import digest

    Path("out").mkdir()
    for name, content in _result().items():
        (Path("out") / name).write_bytes(content)
    name = random.choice(["runs.parquet", "runs.parquet", "metrics.parquet", "manifest.json"])
    path, manifest = Path("out") / name, Path("out/manifest.json")
    if name == "manifest.json" or random.random() < 0.5:
        path.write_bytes(mutated(path.read_bytes(), random))
    else:
        path.write_bytes(as_parquet(mutated_table(pd.read_parquet(path), random)) or b"")
    if name != "manifest.json" and random.random() < 0.8:
        text = manifest.read_text()
        before = json.loads(text)["files"][name]
        manifest.write_text(text.replace(before, digest(path)))


def read_folder() -> object:
    found = lhsim.load("out")
    found._repr_html_()
    return found.metrics, lhsim.compare(found, "out").text()


@cache
def _store() -> bytes:
    """Return the store of a small sweep."""
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        _sweep(folder)
        return (Path(folder) / "cells.store").read_bytes()


def _sweep(folder: str) -> lhsim.Sweep:
    return lhsim.sweep(
        "push", agents=[2, 4], replications=1, duration=2, engine="simpy", folder=folder
    )


def make_store(random: Random) -> None:
    """Damage the store of a sweep: in its bytes, or in a record whose checksum is right."""
    Path("out").mkdir()
    content = _store()
    changed = _other_record(content, random) if random.random() < 0.5 else mutated(content, random)
    Path("out/cells.store").write_bytes(changed)


def _other_record(content: bytes, random: Random) -> bytes:
    from lhsim.execution.encoding import LENGTH
    from lhsim.execution.store import CHECK, HEADER, MARKER, SIZE

    begin = content.index(MARKER)
    marker, length, _, kind, key = HEADER.unpack_from(content, begin)
    start = begin + SIZE
    whole = zlib.decompress(content[start : start + length])
    size = LENGTH.unpack_from(whole)[0]
    tree = mutated(whole[LENGTH.size : LENGTH.size + size], random)
    arrays = whole[LENGTH.size + size :]
    inside = zlib.compress(LENGTH.pack(len(tree)) + tree + arrays)
    header = HEADER.pack(marker, len(inside), zlib.crc32(inside), kind, key)
    record = header + CHECK.pack(zlib.crc32(header)) + inside
    return content[:begin] + record + content[start + length :]


def read_store() -> object:
    """Resume the sweep: what cannot be used of the store is run again."""
    found = _sweep("out")
    if len(found.results) != 2 or found.failed:
        raise AssertionError(f"{len(found.results)} results of 2")
    return found.levels()


KINDS = (
    Kind(
        "model",
        make_model,
        read_model,
        [*SCALING, "--system", "./model.toml"],
        is_code=True,
    ),
    Kind("experiment", make_experiment, read_experiment, ["run", "experiment.toml", *SHORT]),
    Kind("log", make_log, read_log, ["calibrate", "log.csv", "-o", "made.toml", "--quiet"]),
    Kind(
        "components",
        make_components,
        read_components,
        ["calibrate", "--components", "components.csv", "--template", "polling",
         "-o", "made.toml", "--quiet"],
    ),
    Kind(
        "recording",
        make_recording,
        read_recording,
        CROSSCHECK,
    ),
    Kind("result", make_result, read_result, ["report", "out", "--quiet"]),
    Kind("folder", make_folder, read_folder, ["compare", "out", "out"]),
    Kind(
        "store",
        make_store,
        read_store,
        [*SCALING, "--system", "push"],
    ),
)  # fmt: skip
