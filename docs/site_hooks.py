"""What `make docs` adds to the pages of this folder.

Some pages are made here, of the code and of the texts beside other folders, so that nobody has to
keep them: the command line from click, the columns of results from a result, the public names from
their docstrings. Links of the texts to files that are no pages, which a reader of the repository
can follow, become plain text.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import click

import lhsim
from lhsim.analysis.levels import level_rows, metric_rows
from lhsim.cli import lhsim as command_line
from lhsim.experiments.schemas import comments_of
from lhsim.metrics import AgentCommunicationMetrics

ROOT = Path(__file__).parents[1]
# Texts of the repository that are pages, by their names there.
TEXTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "models/README.md": "measured.md",
    "experiments/README.md": "experiments.md",
}
PAGES = {**TEXTS, "README.md": "index.md"}  # the first page stands for it
PUBLIC = (
    "lhsim", "lhsim.models", "lhsim.distributions", "lhsim.planning", "lhsim.calibration",
    "lhsim.crosscheck", "lhsim.validation", "lhsim.recording", "lhsim.replay", "lhsim.execution",
    "lhsim.testing",
)  # fmt: skip
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - for `make docs` alone

    made = {"commands.md": commands(), "results.md": results(), "python.md": python()}
    for source, name in TEXTS.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        made[name] = relinked(text, posixpath.dirname(source), "")
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let the links of a page lead to pages."""
    source = page.file.src_uri
    if page.file.generated_by is not None:
        return markdown
    return relinked(markdown, posixpath.dirname(f"docs/{source}"), posixpath.dirname(source))


def relinked(text: str, folder: str, place: str) -> str:
    """Return a text whose links lead from page to page.

    Parameters
    ----------
    text
        Of a file of the repository.
    folder
        Where that file is, from the root of the repository.
    place
        The folder of its page, from the root of the site.
    """

    def replaced(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        whole = posixpath.normpath(posixpath.join(folder, path))
        page = PAGES.get(whole) or PAGES.get(f"{whole}/README.md")
        if page is None and whole.startswith("docs/"):
            inner = whole.removeprefix("docs/")
            page = f"{inner}/README.md" if (ROOT / whole).is_dir() else inner
        if page is None:
            return label
        there = posixpath.relpath(page, place or ".")
        return f"{picture}[{label}]({there}{'#' if anchor else ''}{anchor})"

    return LINK.sub(replaced, text)


# --- the command line ----------------------------------------------------------------------------


def commands() -> str:
    """Return the page of the command line."""
    lines = ["# The command line", "", "What `lhsim COMMAND --help` prints.", ""]
    for name in sorted(command_line.commands):
        command = command_line.loaded(name)
        context = click.Context(command, info_name=f"lhsim {name}", max_content_width=88)
        lines += [f"## lhsim {name}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join([*lines, *EXIT_CODES])


EXIT_CODES = (
    "## Exit codes", "", "| code | meaning |", "|---|---|", "| 0 | done |", "| 1 | a run failed |",
    "| 2 | bad usage or bad input: one line on stderr, and nothing was written |",
    "| 3 | what was to be checked does not hold |",
    "| 130 | interrupted; what was finished is kept |", "",
    "Data goes to stdout, everything else to stderr. The same seed gives the same bytes on stdout.",
    "",
)  # fmt: skip


# --- results -------------------------------------------------------------------------------------


def results() -> str:
    """Return the page of the columns of results, from results of this lhsim."""
    runs = [
        {**lhsim.simulate(name, agents=2, duration=2.0, engine="simpy").row(), "servers": 1}
        for name in ("polling", "push")
    ]
    said = {**comments_of(lhsim.Result), **comments_of(AgentCommunicationMetrics)}
    said |= {f"{name}_s": text for name, text in said.items()}
    columns = list(dict.fromkeys(key for run in runs for key in run))
    levels = list(dict.fromkeys(key for row in level_rows(runs) for key in row))
    measures = sorted({row["metric"] for row in metric_rows(runs)})
    return "\n".join([
        "# The columns of results", "",
        "Units are in the names: `_ms`, `_mb`, `_s`, `_per_second`. Files: `runs.parquet` has a "
        "row for each run, `metrics.parquet` one for each level and measure with its 95 % interval "
        "(`metric`, `statistic`, `value`, `ci_low`, `ci_high`, `n`, `unit`, `flags`, "
        "`lower_bound`, `overloaded`, `extrapolated`), "
        "`manifest.json` what was asked, with which versions and files.", "",
        "## A run", "", "| column | |", "|---|---|",
        *(f"| `{name}` | {said.get(name, '').replace('|', '&#124;')} |" for name in columns), "",
        "## A level", "",
        "In the JSON and the CSV of a command, and in `Sweep.levels()`: means over the runs.",
        "", ", ".join(f"`{name}`" for name in levels if name not in columns), "",
        "besides the columns of a run.", "",
        "## Measures with an interval", "", ", ".join(f"`{name}`" for name in measures), "",
    ])  # fmt: skip


# --- Python --------------------------------------------------------------------------------------


def python() -> str:
    """Return the page of the public names."""
    lines = ["# Public names in Python", ""]
    for name in PUBLIC:
        module = import_module(name)
        lines += [f"## {name}", "", (inspect.getdoc(module) or "").partition("\n")[0], ""]
        for public in public_names(module):
            lines += _described(name, public, getattr(module, public))
    return "\n".join(lines)


def public_names(module: Any) -> list[str]:
    """Return the public names of a module: those of ``__all__``, else what it defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    return [name for name, one in vars(module).items()
            if not name.startswith("_") and getattr(one, "__module__", "") == module.__name__
            and (inspect.isclass(one) or inspect.isfunction(one))]  # fmt: skip


def _described(module: str, name: str, thing: Any) -> Iterator[str]:
    yield f"### {module}.{name}"
    yield ""
    if not callable(thing):
        yield f"`{thing!r}`" if len(repr(thing)) < 200 else type(thing).__name__
        yield ""
        return
    yield from ["```python", _signature(name, thing), "```", ""]
    yield from ["```text", inspect.getdoc(thing) or "", "```", ""]
    if inspect.isclass(thing) and attrs.has(thing):
        comments = comments_of(thing)
        rows = [f"| `{field.alias or field.name}` | {comments.get(field.name, '')} |"
                for field in attrs.fields(thing)]  # fmt: skip
        yield from ["| field | |", "|---|---|", *(row.replace("||", "\\|\\|") for row in rows), ""]
    if inspect.isclass(thing):
        methods = {key: one for key, one in vars(thing).items() if not key.startswith("_")}
        for key, one in methods.items():
            text = inspect.getdoc(getattr(thing, key, None))
            if text and (inspect.isfunction(one) or isinstance(one, property | classmethod)):
                yield f"- `{key}`: {text.partition(chr(10))[0]}"
        yield ""


def _signature(name: str, thing: Any) -> str:
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return name
    text = re.sub(r"'([^']*)'", r"\1", text)
    return f"{name}{text}" if len(text) < 90 else f"{name}(...)"
