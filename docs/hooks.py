"""What `make docs` adds to the pages of this folder.

Pages that repeat what other files say are made here, so nobody has to maintain them: the columns
of results from a result, the Python reference from the list of public modules, and the texts beside
other folders. Diagrams become pictures, so no page fetches a renderer. Links to files that are no
pages, which a reader of the repository can follow, become plain text.
"""

from __future__ import annotations

import hashlib
import inspect
import pkgutil
import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any

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
    "models/README.md": "reference/measured.md",
    "experiments/README.md": "reference/experiments.md",
}
PAGES = {**TEXTS, "README.md": "index.md"}  # the first page stands for it
PUBLIC = (
    "lhsim", "lhsim.models", "lhsim.theory", "lhsim.metrics", "lhsim.distributions",
    "lhsim.planning", "lhsim.calibration", "lhsim.crosscheck", "lhsim.validation",
    "lhsim.recording", "lhsim.replay", "lhsim.execution", "lhsim.testing",
)  # fmt: skip
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```", re.M | re.S)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - for `make docs` alone

    # mkdocs-click shows the commands that are there, of which the lazy ones have no options yet.
    command_line.commands.update({one: command_line.loaded(one) for one in command_line.commands})
    made = {f"reference/python/{name}.md": reference(name) for name in PUBLIC}
    made["reference/results.md"] = results()
    for source, name in TEXTS.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        made[name] = relinked(text, posixpath.dirname(source), posixpath.dirname(name))
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let the links of a page lead to pages, and draw its diagrams."""
    source = page.file.src_uri
    if page.file.generated_by is not None:
        return markdown
    markdown = DIAGRAM.sub(lambda match: drawn(match[1]), markdown)
    return relinked(markdown, posixpath.dirname(f"docs/{source}"), posixpath.dirname(source))


def drawn(diagram: str) -> str:
    """Return a Mermaid diagram as SVG that stands in the page."""
    import mermaidx  # noqa: PLC0415 - for `make docs` alone

    # The styles of a diagram select by its id, which is the same for all until it is named.
    name = f"diagram-{hashlib.sha256(diagram.encode()).hexdigest()[:8]}"
    svg = mermaidx.render(diagram).svg().replace("my-svg", name)
    svg = svg.replace(' width="100%"', "", 1).replace("max-width:", "width:", 1)
    return f'<div class="diagram">{svg}</div>'


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


def reference(name: str) -> str:
    """Return the page of a public module, for mkdocstrings to fill."""
    module = import_module(name)
    inner = {one.name for one in pkgutil.iter_modules(getattr(module, "__path__", []))}
    names = public_names(module)
    shown = [one for one in names if one not in inner and not one.startswith("_")]
    lines = [f"# {name}", "", f"::: {name}", "    options:", f"      members: {shown}"]
    for one in names:
        if one in inner:  # the function hides the module of its name, where it is looked up
            lines += ["", f"::: {name}.{one}.{one}", "    options:", f"      heading: {one}"]
            lines += ["      show_root_heading: true"]
    return "\n".join([*lines, ""])


def public_names(module: Any) -> list[str]:
    """Return the public names of a module: those of ``__all__``, else what it defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("_")]
    return [name for name, one in vars(module).items()
            if not name.startswith("_") and getattr(one, "__module__", "") == module.__name__
            and (inspect.isclass(one) or inspect.isfunction(one))]  # fmt: skip


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
        "# Columns of results", "",
        "The files of an experiment name their units in their columns: `_ms`, `_mb`, `_s`, "
        "`_per_second`.", "",
        "| file | content |", "|---|---|",
        "| `runs.parquet` | one row per run, with the columns below |",
        "| `metrics.parquet` | one row per level and measure: `metric`, `statistic`, `value`, "
        "`ci_low`, `ci_high` (95 %), `n`, `unit`, `reliable`, `flags`, `lower_bound`, "
        "`overloaded`, `extrapolated` |",
        "| `manifest.json` | the options, seed and versions, and the SHA-256 of the "
        "specification, of each model file and of the tables; it is written last |",
        "| `answer.json` | the answer of a search, as `--format json` prints it |",
        "| `finding.json` | what was found and its provenance, for `lhsim report` |",
        "| `cells.store` | the runs themselves |", "",
        "## A run", "", "| column | |", "|---|---|",
        *(f"| `{name}` | {said.get(name, '').replace('|', '&#124;')} |" for name in columns), "",
        "## A level", "",
        "The JSON and the CSV of a command, and `Sweep.levels()`, have the means over the runs in "
        "the columns of a run, and these besides:", "",
        ", ".join(f"`{name}`" for name in levels if name not in columns), "",
        "## Measures with an interval", "", ", ".join(f"`{name}`" for name in measures), "",
    ])  # fmt: skip
