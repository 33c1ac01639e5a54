"""The bridge as it is asked for: a real server of the kind that is simulated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.experiments.extras import NEEDED_BY_MCP, check_extra
from lhsim.experiments.options import DONE
from lhsim.live import server
from lhsim.live.logs import log_to
from lhsim.live.settings import BridgeSettings, shown


def run_serve(config: str | None, given: Mapping[str, Any]) -> int:
    """Run a bridge until it is stopped; return the exit code.

    On top of the settings in the file `config` come those `given`, where they are not None, which
    have ``secret_file`` and ``enrolment_file`` as well.
    """
    own = dict(given)
    keys = server.read_secrets(own.pop("secret_file"), own.pop("enrolment_file"))
    settings = read_settings(config, own)
    if settings.store.startswith("postgres"):
        check_extra(("psycopg",))
    if settings.mcp:
        check_extra(NEEDED_BY_MCP, extra="mcp")
    log_to(sys.stderr)

    def started(url: str) -> None:
        print(url, flush=True)
        print(f"lhsim: store {shown(settings.store)}; stop with Ctrl-C", file=sys.stderr)

    server.serve(settings, keys, started)
    return DONE


def read_settings(config: str | None, given: Mapping[str, Any]) -> BridgeSettings:
    """Return the settings of a file, with what was given on the command line on top."""
    data = parameters.read_toml(Path(config)) if config is not None else {}
    source = config if config is not None else "lhsim serve"
    if config is not None:
        parameters.structure(
            data, BridgeSettings, source=source
        )  # alone first: its mistakes are its own
    own = {key: value for key, value in given.items() if value is not None and value is not False}
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            own[key] = {**data[key], **value}
    try:
        return parameters.structure({**data, **own}, BridgeSettings, source=source)
    except InputError as error:
        step = (error.key or "").partition(".")[0]
        if step in own or config is None:
            option = f"--{step.replace('_', '-')}"
            raise InputError(error.problem, source=option, allowed=error.allowed) from None
        raise
