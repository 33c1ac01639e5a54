"""The libraries of the extras, which need not be installed."""

from __future__ import annotations

import importlib.util

from lhsim.errors import InputError

# By the names under which they are imported.
NEEDED = ("starlette", "uvicorn", "httptools", "websockets", "prometheus_client", "jsonschema")
NEEDED_BY_MCP = ("mcp",)


def check_extra(
    needed: tuple[str, ...] = NEEDED, *, extra: str = "live", command: str = "lhsim serve"
) -> None:
    """Raise `InputError` unless the libraries of an extra are there."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        problem = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        allowed = f"after pip install 'lhsim[{extra}]'"
        raise InputError(problem, source=command, allowed=allowed)
