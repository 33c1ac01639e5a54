"""Lets the Python reference show the fields of attrs classes: their types, defaults and comments."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import attrs
import griffe

from lhsim.experiments.schemas import comments_of


class AttrsFields(griffe.Extension):
    """Gives each attrs class its signature, and a section "Parameters" from its comments."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Describe all classes of a package that has been read."""
        for cls in _classes(pkg):
            found = getattr(import_module(cls.module.path), cls.name, None)
            if inspect.isclass(found) and attrs.has(found):
                _describe(cls, found)


def _classes(module: griffe.Module) -> Any:
    yield from (one for one in module.classes.values() if not one.is_alias)
    for inner in module.modules.values():
        if not inner.is_alias:
            yield from _classes(inner)


def _describe(cls: griffe.Class, found: type[Any]) -> None:
    fields = {one.name: one for one in attrs.fields(found) if one.init}
    comments = {key: text for base in reversed(found.__mro__) if attrs.has(base)
                for key, text in comments_of(base).items()}  # fmt: skip
    init = griffe.Function("__init__", parameters=griffe.Parameters(griffe.Parameter("self")))
    for name, field in fields.items():
        declared = cls.members.get(name) or _inherited(cls, name)
        init.parameters.add(
            griffe.Parameter(
                field.alias,
                annotation=getattr(declared, "annotation", None),
                kind=griffe.ParameterKind.keyword_only
                if field.kw_only
                else griffe.ParameterKind.positional_or_keyword,
                default=_default(field, declared),
            )
        )
    if "__init__" not in cls.members:
        cls.set_member("__init__", init)
    explained = [f"{field.alias}\n    {comments.get(name) or '-'}" for name, field in fields.items()]
    text = inspect.getdoc(found) or ""
    if explained and "Parameters\n----------" not in text:
        section = "\n".join(["", "", "Parameters", "----------", *explained])
        cls.docstring = griffe.Docstring(text + section, parent=cls)
    for name in fields:
        cls.members.pop(name, None)  # they are shown as parameters


def _inherited(cls: griffe.Class, name: str) -> Any:
    return next((base.members[name] for base in cls.mro() if name in base.members), None)


def _default(field: attrs.Attribute[Any], declared: Any) -> str | None:
    if field.default is attrs.NOTHING:
        return None
    return repr(field.default) if not isinstance(field.default, attrs.Factory) else "..."  # type: ignore[arg-type]
