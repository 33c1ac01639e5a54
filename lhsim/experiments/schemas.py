"""JSON Schemas (draft 2020-12) of model files and specifications, from the classes they describe.

An editor that knows the schema of a TOML file completes its keys, explains them, and marks what
`lhsim.parameters` would refuse. What a schema cannot say, such as that exactly one of two keys is
there, it leaves to that.
"""

from __future__ import annotations

import inspect
import json
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from lhsim import _own
from lhsim.errors import unknown_name
from lhsim.experiments.specification import KINDS
from lhsim.models import System
from lhsim.parameters import fields_of, unit_of, variants_of
from lhsim.units import Unit

DRAFT = "https://json-schema.org/draft/2020-12/schema"
CLASSES: dict[str, type[Any]] = {"system": System, **KINDS}
PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean"}

Schema = dict[str, Any]


def schema_text(name: str) -> str:
    """Return the schema of a kind of file as JSON; raise `InputError` where there is none."""
    if name not in CLASSES:
        raise unknown_name("schema", name, CLASSES)
    return json.dumps(schema_of(CLASSES[name]), indent=2)


def schema_of(cls: type[Any]) -> Schema:
    """Return the schema of the TOML files that describe a class."""
    definitions: dict[str, Schema] = {}
    top = _Definitions(definitions).table(cls)
    return {"$schema": DRAFT, "title": cls.__name__, **top, "$defs": definitions}


def comments_of(cls: type[Any]) -> dict[str, str]:
    """Return what stands as a comment behind each field of a class, or in lines before it."""
    found: dict[str, str] = {}
    for base in cls.__bases__:
        found |= comments_of(base) if attrs.has(base) else {}
    before: list[str] = []
    for line in inspect.getsource(cls).splitlines():
        field = re.match(r"    (\w+): [^#]*(?:# (.*))?$", line)
        if line.strip().startswith("# "):
            before.append(line.strip()[2:])
        elif field:
            found[field[1]] = " ".join([*before, field[2] or ""]).strip()
            before = []
        elif not line.strip():
            before = []
    return found


class _Definitions:
    """The classes that a schema names, each described once."""

    def __init__(self, found: dict[str, Schema]) -> None:
        self._found = found

    def table(self, cls: type[Any], tag: str | None = None) -> Schema:
        """Return the schema of the table of a class; `tag` is the key that names a variant."""
        comments, fields = comments_of(cls), fields_of(cls)
        properties = {key: self._field(one, comments) for key, one in fields.items()}
        required = [key for key, one in fields.items() if one.default is attrs.NOTHING]
        if tag is not None:
            properties = {tag: {"const": cls.name}, **properties}
            required = [tag, *required]
        table: Schema = {"type": "object", "description": _first_line(cls)}
        table |= {"properties": properties, "additionalProperties": False}
        return table | ({"required": required} if required else {})

    def _field(self, field: attrs.Attribute[Any], comments: dict[str, str]) -> Schema:
        described = dict(field.metadata.get("schema") or self._of(field.type))
        described |= getattr(field.validator, "limits", {})
        text = comments.get(field.name)
        if text:
            described["description"] = text
        if isinstance(field.default, bool | int | float | str):
            described["default"] = field.default
        return described

    def _of(self, kind: Any) -> Schema:
        """Return the schema of a type that a field may have; see `lhsim.parameters`."""
        unit = unit_of(kind)
        if unit is not None:
            return _quantity(unit)
        if get_origin(kind) is not None:
            return self._composed(kind)
        return {"type": PLAIN[kind]} if kind in PLAIN else self._class(kind)

    def _composed(self, kind: Any) -> Schema:
        origin, inner = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"enum": list(inner)}
        if origin in (Union, UnionType):  # None is what is not there
            kinds = [self._of(one) for one in inner if one is not type(None)]
            return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if origin is tuple:
            return self._tuple(inner)
        return {"type": "object", "additionalProperties": self._of(inner[1])}  # a dict

    def _tuple(self, inner: tuple[Any, ...]) -> Schema:
        if inner[1:] == (Ellipsis,):
            return {"type": "array", "items": self._of(inner[0])}
        items = [self._of(one) for one in inner]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}

    def _class(self, cls: type[Any]) -> Schema:
        name = cls.__name__
        if name not in self._found:
            self._found[name] = {}  # so that a class may have itself as a part
            self._found[name] = self._family(cls) if hasattr(cls, "tag") else self.table(cls)
        return {"$ref": f"#/$defs/{name}"}

    def _family(self, base: type[Any]) -> Schema:
        kinds = [self.table(one, base.tag) for one in variants_of(base).values()]
        scalar: list[Schema] = []
        if hasattr(base, "from_scalar"):
            scalar = [{"type": ["number", "string"]}]
        if hasattr(base, "entry_points"):  # classes of the user's own, with any keys
            path = {"type": "string", "pattern": _own.MARK}
            kinds.append({"type": "object", "properties": {base.tag: path}, "required": [base.tag]})
            scalar = scalar or [path]
        return {"description": _first_line(base), "anyOf": [*scalar, *kinds]}


def _quantity(unit: Unit) -> Schema:
    units = "|".join(re.escape(name) for name in unit.multiples)
    number = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
    return {"type": ["number", "string"], "pattern": rf"^\s*{number}\s*({units})\s*$"}


def _first_line(cls: type[Any]) -> str:
    return (cls.__doc__ or "").partition("\n")[0]
