"""Writes docs/reference/options.md: every key of a model file, from the classes of a system.

::

    python docs/make_options.py > docs/reference/options.md

The text is the comment that stands with a field; `tests/unit/test_documentation.py` keeps the page
current.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator

import attrs

from lhsim import models
from lhsim.distributions import Distribution
from lhsim.experiments.schemas import comments_of
from lhsim.models.faults import Fault
from lhsim.models.workload import Traffic
from lhsim.simulation.engines import ONLY_WITH_SIMPY

HEAD = """\
# Every option of a system

Which parameters does a system have, and what are their defaults? These are the keys of a model
file and the fields of the classes in `lhsim.models`; `--set KEY=VALUE` takes the same names, with
a unit where there is one. `python docs/make_options.py` writes this page from the code. Both
engines cover every option not marked "SimPy alone": `tests/equivalence` draws systems with any
combination and compares the engines to the bit, and fails for a field that it does not draw. [The
rules of the models](models.md) define what each option does.
"""
OWN = """\
## server

Instead of `polling` or `push`, your own server: its `kind` is an import path such as
`mypackage.servers:Relay`, or a name that an installed package announces among the entry points
`lhsim.servers`, and its other keys are the fields of that class. **SimPy alone.** The `kind` of
traffic and the `family` of a distribution may be such names, too (`lhsim.traffic`,
`lhsim.distributions`). [How to simulate your own server](../how-to/own-models.md) has an example.
"""
LEFT_OUT = {"calibration", "faults"}  # changes nothing, has a chapter of its own
ALONE = "**SimPy alone.**"
PARTS = {name for name in models.__all__ if attrs.has(getattr(models, name))}


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    hints = typing.get_type_hints(models.System)
    for field in attrs.fields(models.System):
        cls = _described(hints[field.name])
        if cls is not None and field.name not in LEFT_OUT:
            lines += [f"## {field.name}", "", *_table(cls, field.name), ""]
    lines += [OWN, "## Traffic", "", "`workload.traffic` is one of these, by its `kind`.", ""]
    kinds = [kind for kind in _subclasses(Traffic) if attrs.has(kind)]
    for kind in sorted(kinds, key=lambda kind: kind.name):
        lines += [f"### {kind.name}", "", *_table(kind, "workload.traffic"), ""]
    lines += ["## Faults", "", "Each of the list `faults` is one of these, by its `kind`.", ""]
    for fault in sorted(_subclasses(Fault), key=lambda kind: kind.name):
        lines += [
            f"### {fault.name}",
            "",
            f"{fault.__doc__}",
            "",
            *_table(fault, "faults"),
            "",
        ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(cls: type, path: str) -> list[str]:
    return ["| key | default | |", "|---|---|---|", *_rows(cls, path)]


def _rows(cls: type, path: str) -> Iterator[str]:
    comments, hints = comments_of(cls), typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        key = f"{path}.{field.name}"
        inner = _described(hints[field.name])
        text = comments.get(field.name) or _said_by(hints[field.name], inner)
        text = text.replace("|", "\\|")
        mark = f" {ALONE}" if key in ONLY_WITH_SIMPY else ""
        yield f"| `{key}` | {_default(field)} | {text}{mark} |"
        if inner is not None:
            yield from _rows(inner, key)


def _described(hint: object) -> type | None:
    """Return the class of the description that a field holds, if it holds one."""
    for kind in (hint, *typing.get_args(hint)):
        for one in (kind, *typing.get_args(kind)):
            if isinstance(one, type) and one.__name__ in PARTS and attrs.has(one):
                return one
    return None


def _said_by(hint: object, inner: type | None) -> str:
    """Return what the type of a field says about it."""
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    return (inner.__doc__ or "").partition("\n")[0] if inner is not None else ""


def _default(field: attrs.Attribute) -> str:
    default = field.default
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):
        return ""
    if default is None:
        return "none"
    if isinstance(default, Distribution):
        return f"{default.mean:g}"
    return f"`{str(default).lower()}`" if isinstance(default, bool | str) else f"{default}"


def _subclasses(cls: type) -> Iterator[type]:
    for one in cls.__subclasses__():
        yield one
        yield from _subclasses(one)


if __name__ == "__main__":
    print(page(), end="")
