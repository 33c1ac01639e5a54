"""Shows attrs classes in the Python reference with their fields: types, defaults and comments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import attrs
import griffe

from lhsim.experiments.schemas import comments_of


class AttrsFields(griffe.Extension):
    """Gives attrs classes a signature and a section "Parameters", and examples their heading."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Describe everything in a package that has been read."""
        for module in _modules(pkg):
            _prepare(module)
            for cls in (one for one in module.classes.values() if not one.is_alias):
                found = getattr(import_module(module.path), cls.name, None)
                if inspect.isclass(found) and attrs.has(found):
                    _describe(cls, found)
                _prepare(cls)
                for member in cls.members.values():
                    _prepare(member)
            for function in module.functions.values():
                _prepare(function)


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for inner in module.modules.values():
        if not inner.is_alias:
            yield from _modules(inner)


def _prepare(thing: Any) -> None:
    """Make Markdown of a docstring: examples get their heading, and units are no links."""
    if thing.is_alias or thing.docstring is None:
        return
    text = thing.docstring.value.replace("] [", "] \\[")
    if "\nExamples\n" not in text:
        text = re.sub(r"\n\n(?=>>> )", "\n\nExamples\n--------\n", text, count=1)
    thing.docstring.value = text


def _describe(cls: griffe.Class, found: type[Any]) -> None:
    fields = [one for one in attrs.fields(found) if one.init]
    comments = comments_of(found)
    parameters = [griffe.Parameter("self"), *(_parameter(one, cls) for one in fields)]
    if "__init__" not in cls.members:
        cls.set_member(
            "__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
        )
    text = inspect.getdoc(found) or ""
    if fields and "Parameters\n----------" not in text:
        explained = [f"{one.alias}\n    {comments.get(one.name, '')}" for one in fields]
        text = "\n".join([text, "", "Parameters", "----------", *explained])
        cls.docstring = griffe.Docstring(text, parent=cls, parser="numpy")
    for one in fields:
        cls.members.pop(one.name, None)  # it is shown as a parameter


def _parameter(field: attrs.Attribute[Any], cls: griffe.Class) -> griffe.Parameter:
    bases = [cls, *cls.mro()]
    declared = next((one.members[field.name] for one in bases if field.name in one.members), None)
    kind = griffe.ParameterKind
    return griffe.Parameter(
        field.alias,
        annotation=getattr(declared, "annotation", None),
        kind=kind.keyword_only if field.kw_only else kind.positional_or_keyword,
        default=_default(field),
    )


def _default(field: attrs.Attribute[Any]) -> str | None:
    if field.default is attrs.NOTHING:
        return None
    return "..." if isinstance(field.default, attrs.Factory) else repr(field.default)  # type: ignore[arg-type]
