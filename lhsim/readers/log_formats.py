r"""Format strings of access logs, as the servers have them in their configuration.

===========  ===================================================================================
nginx        ``$request_time`` [s], https://nginx.org/en/docs/http/ngx_http_log_module.html
Apache       ``%D`` [us], ``%T`` or ``%{s}T`` [s], ``%{ms}T``, ``%{us}T``,
             https://httpd.apache.org/docs/current/mod/mod_log_config.html
Envoy        ``%DURATION%`` [ms], https://www.envoyproxy.io/docs/envoy/latest/configuration/
             observability/access_log/usage
===========  ===================================================================================

When a request ended or started is said by ``$msec``, ``$time_local`` and ``$time_iso8601`` of nginx
(its end: when the line was written), by ``%t`` of Apache (its start, but for ``%{end:usec}t`` and
the like) and ``%START_TIME%`` of Envoy.

A whole directive of a configuration (``log_format ...;``, ``LogFormat ...``) is one as well. Each
variable becomes a part of one regular expression that ends where the text after it begins, so that
a line is read in one way or not at all.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from lhsim.errors import InputError

_COMBINED = ('$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
             '"$http_referer" "$http_user_agent"')  # fmt: skip
PRESETS = {
    "nginx": f"{_COMBINED} $request_time",
    "nginx-upstream": f"{_COMBINED} $request_time $upstream_response_time",
    "apache-combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D',
    "envoy": (
        '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
        '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
        '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
    ),
}
ALLOWED = f"a format string, or one of {', '.join(PRESETS)}"
WHOLE_FORMATS = "one with the request, the status and $request_time, %D, %T or %DURATION%"

# A variable of nginx, of Envoy and of Apache.
_NGINX = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)\})")
_ENVOY = re.compile(r"%(?P<plain>[A-Z][A-Z_]{2,}(?:\([^)%]*\))?)(?::\d+)?%")
_APACHE = re.compile(r"%[!<>\d,]*(?:\{(?P<argument>[^}]*)\})?(?P<plain>\^?[A-Za-z]{1,2})")

REQUEST, PATH, STATUS, DURATION = "request", "path", "status", "duration"
CLIENT = "client"
STAMP = "stamp"
_ROLES = {
    "request": REQUEST, "request_uri": PATH, "uri": PATH, "document_uri": PATH, "status": STATUS,
    "r": REQUEST, "U": PATH, "s": STATUS,
    "REQ(:PATH)": PATH, "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": PATH,
    "REQUEST_HEADER(:PATH)": PATH, "REQUEST_HEADER(X-ENVOY-ORIGINAL-PATH?:PATH)": PATH,
    "RESPONSE_CODE": STATUS,
}  # fmt: skip
# How many of the units in which a duration is written are a second; each is a step of its clock.
_PER_SECOND = {
    "D": 1e6, "T": 1.0, "{s}T": 1.0, "{ms}T": 1e3, "{us}T": 1e6, "DURATION": 1e3,
    "request_time": 1.0,
}  # fmt: skip
_STEPS = {"request_time": 1e-3}  # [s]
_ISO, _CLF = "iso", "clf"  # 2027-01-31T08:00:00.250Z, 31/Jan/2027:08:00:00 +0000
_QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'
_VALUES = {
    "request_time": r"\d+\.\d{3,}",  # nginx writes milliseconds: 2.5 and 25013 are others
    "D": r"\d+|-", "T": r"\d+|-", "{s}T": r"\d+|-", "{ms}T": r"\d+|-", "{us}T": r"\d+|-",
    "DURATION": r"\d+|-",
    "t": r"\[[^\]]*\]",
    # These say themselves where they end, and so may stand side by side.
    "U": r"[^\s?\"]*", "q": r"(?:\?[^\s\"]*)?",
    "uri": r"[^\s?\"]*", "is_args": r"\??", "args": r"[^\s\"]*", "query_string": r"[^\s\"]*",
    "host": r"[^\s/]*", "request_uri": r"[^\s\"]*",
}  # fmt: skip
_SHOWN = 120  # of a format
_TIME, _WORD = r"(?:\d+\.\d+|-)", r"[^\s,]+"
_EACH = r"{0}(?:(?:,| :) {0})*"  # nginx: a value for each server that was tried


@frozen
class Stamp:
    """How a variable stamps a request."""

    stamps: str  # "start" or "end"
    kind: str  # as it is written, or "epoch" for a number since 1970
    step: float  # of its clock [s]
    per_second: int = 1  # the unit of a number


_EPOCH = "epoch"
_STAMPS = {
    "msec": Stamp("end", _EPOCH, 1e-3),
    "time_local": Stamp("end", _CLF, 1.0),
    "time_iso8601": Stamp("end", _ISO, 1.0),
    "t": Stamp("start", _CLF, 1.0),
    "START_TIME": Stamp("start", _ISO, 1e-3),
    **{
        f"{{{when}{unit}}}t": Stamp(
            "end" if when == "end:" else "start", _EPOCH, 1 / factor, factor
        )
        for when in ("", "begin:", "end:")
        for unit, factor in (("sec", 1), ("msec", 1000), ("usec", 10**6))
    },
}


@frozen
class LogFormat:
    """How the lines of a log are read."""

    name: str  # for people
    pattern: re.Pattern[str] = field(repr=False)  # its groups are the roles
    per_second: float  # the unit of the durations
    step: float  # of the clock [s]
    stamp: Stamp | None = None  # of the variable that says when, if there is one


@frozen
class _Variable:
    name: str
    role: str | None
    value: str  # as a regular expression


def log_format(given: str, client: str | None = None) -> LogFormat:
    """Return a format of lines from a format string, a directive or the name of a preset.

    Parameters
    ----------
    given
        The format.
    client
        A variable of it that names the client of a request, as the format has it; None: none does.

    Raises
    ------
    InputError
        When it is none, says neither which request nor how it went, or lacks the variable.
    """
    text = PRESETS.get(given) or _bare(given)
    parts = _parts(text)
    variables = [part for part in parts if isinstance(part, _Variable)]
    if not variables:
        raise InputError(f"{given!r} has no variables", source="--log-format", allowed=ALLOWED)
    chosen = _chosen(variables)
    if client is not None:
        chosen[CLIENT] = _client(client, variables, chosen)
    duration = chosen[DURATION].name
    per_second = _PER_SECOND[duration]
    pattern = "".join(_expressions(parts, {id(one): role for role, one in chosen.items()}))
    name = given if given in PRESETS else f"{text[:_SHOWN]!r}"
    step = _STEPS.get(duration, 1 / per_second)
    stamp = _STAMPS[chosen[STAMP].name] if STAMP in chosen else None
    return LogFormat(name, re.compile(pattern + r"\s*"), per_second, step, stamp)


def _bare(given: str) -> str:
    """Return the format string of a directive."""
    name, *_ = given.split() or [""]
    if name not in {"log_format", "LogFormat"}:
        return given
    try:
        words = shlex.split(given.strip().removesuffix(";"))[1:]
    except ValueError as error:
        problem = f"{given!r} is no directive: {error}"
        raise InputError(problem, source="--log-format", allowed=ALLOWED) from None
    if name == "LogFormat":
        return words[0] if words else ""
    return "".join(word for word in words[1:] if not word.startswith("escape="))


def _parts(text: str) -> list[str | _Variable]:
    """Return the variables of a format and the texts between them."""
    syntax = next((one for one in (_NGINX, _ENVOY) if one.search(text)), _APACHE)
    parts: list[str | _Variable] = []
    position = 0
    for match in syntax.finditer(text):
        parts += [text[position : match.start()], _variable(match)]
        position = match.end()
    return [part for part in [*parts, text[position:]] if part]


def _variable(match: re.Match[str]) -> _Variable:
    groups = match.groupdict()
    name = groups["plain"] or groups.get("braced") or ""
    if groups.get("argument"):
        name = f"{{{groups['argument']}}}{name}"
    role = DURATION if name in _PER_SECOND else _ROLES.get(name)
    return _Variable(name, role, _VALUES.get(name, ""))


def _chosen(variables: Iterable[_Variable]) -> dict[str, _Variable]:
    """Return the variables that are read, by their roles: of two durations the finer one."""
    found: dict[str, _Variable] = {}
    for one in sorted(variables, key=lambda one: -_PER_SECOND.get(one.name, 0.0)):
        if one.role:
            found.setdefault(one.role, one)
    wanted = {"the request": {REQUEST, PATH}, "the status": {STATUS}, "the duration": {DURATION}}
    for what, roles in wanted.items():
        if not roles & set(found):
            raise InputError(f"does not say {what}", source="--log-format", allowed=WHOLE_FORMATS)
    if REQUEST in found:
        found.pop(PATH, None)
    stamps = [one for one in variables if one.name in _STAMPS]
    if stamps:
        found[STAMP] = min(stamps, key=lambda one: _STAMPS[one.name].step)
    return found


def _client(
    given: str, variables: Sequence[_Variable], chosen: Mapping[str, _Variable]
) -> _Variable:
    """Return the variable that names the client, as somebody has written it: $name or name."""
    wanted = next((one.name for one in _parts(given) if isinstance(one, _Variable)), given.strip())
    taken = {id(one) for one in chosen.values()}
    free = {one.name: one for one in variables if id(one) not in taken}
    if wanted not in free:
        problem = f"{given[:_SHOWN]!r} is no variable of the format that names clients"
        allowed = f"one of {', '.join(free)}" if free else "a format with one"
        raise InputError(problem, source="--client", allowed=allowed)
    return free[wanted]


def _expressions(parts: list[str | _Variable], roles: dict[int, str]) -> Iterable[str]:
    for place, part in enumerate(parts):
        if isinstance(part, str):
            yield re.escape(part)
            continue
        after = parts[place + 1] if place + 1 < len(parts) else ""
        if isinstance(after, _Variable) and not part.value:
            problem = f"nothing stands between {part.name} and {after.name}"
            raise InputError(problem, source="--log-format", allowed="a separator")
        before = parts[place - 1] if place else ""
        value = part.value or _until(str(before), str(after), part.name)
        yield f"(?P<{roles[id(part)]}>{value})" if id(part) in roles else f"(?:{value})"


def _until(before: str, after: str, name: str) -> str:
    """Return an expression for a value between two texts."""
    if before.endswith('"') and after.startswith('"'):
        return _QUOTED
    if name.startswith("upstream_"):
        return _EACH.format(_TIME if name.endswith("_time") else _WORD)
    if not after:
        return ".*"
    return f"(?:(?!{re.escape(after)}).)*"
