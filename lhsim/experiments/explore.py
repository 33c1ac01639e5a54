"""The page on which one explores systems: served here, or written as one file."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bar

from lhsim import explore
from lhsim._files import expanded, replace
from lhsim.errors import InputError
from lhsim.experiments.extras import check_extra
from lhsim.experiments.options import DONE
from lhsim.experiments.output import check_folder, own_version

NEEDED = ("starlette", "uvicorn")


def run_explore(
    sources: Sequence[str], output: Path | None, *, port: int, browser: bool, show_progress: bool
) -> int:
    """Serve the page until it is stopped, or write it to the file `output`; return the exit code.

    Raises `InputError` when a source is no model file, or the port or the file cannot be used.
    """
    answers = explore.Answers(explore.candidates(sources))
    if output is not None:
        print(write_page(answers, output, show_progress=show_progress))
        return DONE
    check_extra(NEEDED, command="lhsim explore")

    def started(url: str) -> None:
        print(url, flush=True)
        print("lhsim: stop with Ctrl-C", file=sys.stderr)
        if browser and sys.stdout.isatty():
            # In a thread: a browser in the terminal would not come back.
            threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()

    named = [name for name, one in answers.known.items() if one.source in sources]
    page = explore.live_page(answers.known, named or list(answers.known), own_version())
    explore.serve(answers, page, port, started)
    return DONE


def write_page(answers: explore.Answers, file: Path, *, show_progress: bool) -> Path:
    """Write the page over answers that are found first, and return its file.

    Raises `InputError` when it cannot be written, before anything runs where that is known by then.
    """
    target = expanded(file)
    if target.is_dir():
        raise InputError("is a folder", source=str(target), allowed="a file")
    try:
        check_folder(target.parent, "-o")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Bar(console=Console(stderr=True), transient=True, disable=not show_progress) as bar:
            task = bar.add_task("explore")
            found = explore.keep(
                answers, lambda done, of: bar.update(task, completed=done, total=of)
            )
        page = explore.kept_page(answers, found, own_version())
        replace(target, lambda path: path.write_text(page, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(target)) from None
    return target
