"""Commands whose modules are imported when they run, that refuse an option given twice.

Help lists the options that choose what is simulated first, then how it runs, then the output.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from lhsim.errors import InputError, unknown_name

# The sections of help after the first, which has all other options.
SECTIONS = {
    "Execution": (
        "--precision", "--max-replications", "--max-events", "--jobs", "--engine", "--executor",
        "--scheduler", "--fail-fast", "--fresh",
    ),
    "Output": (
        "--check", "--output", "--output-dir", "--plots", "--format", "--no-progress", "--quiet",
        "--help",
    ),
}  # fmt: skip


class Command(click.Command):
    """A command; with ``--quiet`` or ``--no-progress`` it does not say that it compiles."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in sections, or in one if none belongs to the execution."""
        given = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        found = {max(one.opts, key=len): one.get_help_record(ctx) for one in given}
        rows = {name: row for name, row in found.items() if row is not None}
        sections = SECTIONS if rows.keys() & set(SECTIONS["Execution"]) else {}
        later = {name for names in sections.values() for name in names}
        titled = {"Options": [name for name in rows if name not in later], **sections}
        for title, names in titled.items():
            shown = [rows[name] for name in names if name in rows]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises `InputError` when an option that takes one value is there twice: the first would be
        lost.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for given in order:
            is_one = isinstance(given, click.Option) and not (given.multiple or given.is_flag)
            if is_one and order.count(given) > 1:
                source = max(given.opts, key=len)
                raise InputError("is there twice", source=source, allowed="each option once")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        shown = not (ctx.params.get("quiet") or ctx.params.get("no_progress"))
        with notices(shown=shown):
            try:
                return super().invoke(ctx)
            except InputError as error:
                place = self._place(error)
                if place is None:
                    raise
                raise InputError(error.problem, source=place, allowed=error.allowed) from None

    def _place(self, error: InputError) -> str | None:
        """Return what a user has typed for the argument of Python that an error names."""
        if error.source is not None or error.key is None:
            return None
        for one in self.params:
            if isinstance(one, click.Option) and error.key in _names(one):
                return max(one.opts, key=len)
            if isinstance(one, click.Argument) and error.key == one.name:
                return (one.metavar or one.human_readable_name).strip("[].")
        return None


def _names(one: click.Option) -> set[str]:
    """Return what an option may be called in Python, where one that is repeatable is plural."""
    word = max(one.opts, key=len).removeprefix("--").replace("-", "_")
    return {word, f"{word}s"} if one.multiple else {word}


class Deferred(click.Command):
    """The name and the help line of a command whose module has not been imported."""

    def __init__(self, name: str, home: str, line: str) -> None:
        super().__init__(name, help=line)
        self._home = home

    def load(self) -> click.Command:
        """Import the module, and return its command of this name."""
        inside = vars(import_module(self._home)).values()
        return next(one for one in inside if isinstance(one, Command) and one.name == self.name)


class Commands(click.Group):
    """A group that imports a command when it is asked for, and suggests the nearest name."""

    def __init__(self, *, sections: Mapping[str, Sequence[str]], **more: Any) -> None:
        super().__init__(**more)
        self._sections = sections

    def defer(self, home: str, lines: Mapping[str, str]) -> None:
        """Add the commands of the module `home`, by name with their first lines of help."""
        for name, line in lines.items():
            self.add_command(Deferred(name, home, line))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of help."""
        return [name for names in self._sections.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in their sections, each with its line."""
        width = max(map(len, self.commands))
        for title, names in self._sections.items():
            with formatter.section(title):
                room = formatter.width - width - 6
                rows = [(name, self.commands[name].get_short_help_str(room)) for name in names]
                formatter.write_dl([(f"{name:<{width}}", line) for name, line in rows])

    def loaded(self, name: str) -> click.Command:
        """Return the command of a name, imported."""
        command = self.commands[name]
        return command.load() if isinstance(command, Deferred) else command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that arguments begin with; raise `InputError` where there is none."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown_name("command", args[0], self.commands)
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else self.loaded(name), rest


@contextmanager
def notices(*, shown: bool) -> Iterator[None]:
    """Let what lhsim logs pass, or nothing of it that is no error."""
    logger = logging.getLogger("lhsim")
    before = logger.level
    if not shown:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
