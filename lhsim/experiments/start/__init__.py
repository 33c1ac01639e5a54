"""The first minutes: what ``lhsim`` says without arguments, and ``lhsim init``.

The files beside this module are what ``init`` writes.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from lhsim.errors import InputError

TEMPLATES = ("server.toml", "sweep.toml")
FIRST_COMMANDS = {
    "lhsim scaling --agents 10,100,1000": "latency and load as agents grow",
    "lhsim capacity --slo 'p99<1500ms'": "how many agents meet an objective",
    "lhsim init my-study": "a model and an experiment of your own",
    "lhsim list": "the systems and experiments that exist",
    "lhsim --help": "all commands",
}


def first_lines() -> str:
    """Return where to begin, as a text of at most 80 columns."""
    width = max(map(len, FIRST_COMMANDS))
    lines = [f"  {command:<{width}}  {what}" for command, what in FIRST_COMMANDS.items()]
    return "\n".join(["Simulate agents that get messages by polling or by event push:", *lines])


def write_templates(folder: Path) -> str:
    """Write a model and an experiment into a folder; return what to do next.

    Raises `InputError` when one is there already, or cannot be written.
    """
    for name in TEMPLATES:
        if (folder / name).exists():
            problem = "is there, and is not overwritten"
            raise InputError(problem, source=str(folder / name), allowed="another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in TEMPLATES:
            with (folder / name).open("xb") as file:
                file.write((Path(__file__).parent / name).read_bytes())
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise InputError(problem, source=str(folder), allowed="a folder") from None
    return _next_steps(folder)


def _next_steps(folder: Path) -> str:
    there = [] if folder == Path() else [f"  cd {shlex.quote(str(folder))}"]
    return "\n".join([
        f"{folder / 'server.toml'}: a model, {folder / 'sweep.toml'}: an experiment. Next:",
        *there,
        "  lhsim run ./sweep.toml",
        "  lhsim scaling --system ./server.toml --agents 10,100,500",
    ])  # fmt: skip
