"""Commands that say nothing of their engines where nothing but data was asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class Command(click.Command):
    """A command; with ``--quiet`` or ``--no-progress`` it does not say that it compiles."""

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
