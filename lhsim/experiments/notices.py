"""Commands that refuse an option given twice, and say nothing of engines where data is wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from lhsim.errors import InputError


class Command(click.Command):
    """A command; with ``--quiet`` or ``--no-progress`` it does not say that it compiles."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises
        ------
        InputError
            When an option that takes one value is there twice: the first would be lost.
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
            return super().invoke(ctx)


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
