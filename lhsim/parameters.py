"""TOML files to frozen attrs classes and back, strictly, with the path of the offending key.

A model file or an experiment is data: the attrs classes that describe it are its schema. What a
class does not name is refused, and every refusal is one `InputError` that says where it stands::

    models/bridge.toml: store.query.components[1].sigma: -0.2 is out of range; allowed: ...

The types that a field may have:

==============================  ================================================================
``Seconds, Bytes, PerSecond``   a number in the base unit, or a text with a unit (`lhsim.units`)
``Sizes``                       a distribution of sizes, whose quantities are bytes and not seconds
``float, int, str, bool``       themselves; whole floats such as ``1e6`` count as an int
``Literal["a", "b"]``           one of the choices
``X | None``                    X, or ``"none"``, or left out
``tuple[X, ...], tuple[X, Y]``  a list
``dict[str, X]``                a table with free keys
an attrs class                  a table
a family of variants            a table in which one key, the tag, names the class
==============================  ================================================================

A family of variants is a base class with a text `tag`, the key that chooses, and subclasses with
a text `name` of their own, the value that chooses them. Any attrs class that is derived from the
base takes part as soon as it is defined; the latest of two with one name counts. The base may
have a class method ``from_scalar(value)`` that makes a variant of a plain number or text, and a
method ``check_described()`` that refuses one which a file may not describe. A base
with a text `entry_points` may be extended by classes of the user's own, which are named by their
import paths, or by the names that packages announce (`lhsim._own`); a text can then stand for the
table that has only that key::

    class Distribution:
        tag: ClassVar[str] = "family"

    @frozen
    class Lognormal(Distribution):  # { family = "lognormal", median = "8 us", sigma = 0.3 }
        name: ClassVar[str] = "lognormal"
        median: Seconds
        sigma: float

Within a file the first mistake is reported. A key that is missing has no place in the file, and
is reported when all that is written in its table is in order.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from os import PathLike
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
import tomli_w
from cattrs import Converter
from cattrs.errors import StructureHandlerNotFoundError

from lhsim import _own
from lhsim._files import expanded, read_text
from lhsim.checks import is_several
from lhsim.errors import InputError, shown, unknown_name
from lhsim.units import SECOND, TypedWhole, Unit, typed

T = TypeVar("T")

# Whether what is being read may name classes of the user's own.
_OWN_CLASSES = ContextVar("own_classes", default=True)
# What a distribution that is being read is of, where that is no time.
_UNIT: ContextVar[Unit | None] = ContextVar("unit", default=None)
_SETTINGS = 'KEY=VALUE, a list of such texts, or {"KEY": VALUE}'
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def load(path: str | PathLike[str], cls: type[T], *, own_classes: bool = True) -> T:
    """Return the `cls` that the TOML file at `path` describes; `own_classes` as in `structure`.

    Raises
    ------
    InputError
        When the file cannot be read, is not TOML, or does not describe a `cls`.
    """
    return structure(read_toml(path), cls, source=str(path), own_classes=own_classes)


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the content of the TOML file at `path`.

    Raises
    ------
    InputError
        When the file cannot be read or is not TOML, with the line and the column.
    """
    return parse_toml(read_text(path), source=str(path))


def parse_toml(text: str, *, source: str) -> dict[str, Any]:
    """Return the content of a text in TOML; `source` is what a refusal names as its place.

    Raises
    ------
    InputError
        When it is not TOML, with the line and the column.
    """
    try:
        return _parse_toml(text)
    except ValueError as error:
        raise InputError(f"is not valid TOML: {error}", source=source) from None


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def structure(
    data: Mapping[str, object], cls: type[T], *, source: str, own_classes: bool = True
) -> T:
    """Return the `cls` that `data`, the content of a TOML file, describes.

    Parameters
    ----------
    data
        Tables as mappings, lists as lists. It is not changed.
    cls
        An attrs class, or the base of a family of variants.
    source
        What a refusal names as its place: a file, an option.
    own_classes
        Whether `data` may name classes of the user's own. Their modules are imported, and so run:
        not for a file of data, such as a recording, which may come from anybody.

    Raises
    ------
    InputError
        For the first mistake, with the path of its key.
    """
    before = _OWN_CLASSES.set(own_classes)
    try:
        return _CONVERTER.structure(data, cls)
    except InputError as error:
        raise InputError(
            error.problem, source=source, key=error.key, allowed=error.allowed
        ) from error.__cause__
    except RecursionError:
        raise InputError("is nested too deeply", source=source) from None
    finally:
        _OWN_CLASSES.reset(before)


def unstructure(instance: object) -> dict[str, Any]:
    """Return the tables that describe `instance`, an attrs object: the inverse of `structure`.

    Keys are in the order of the fields, after the tag of a variant; fields that hold their default
    are left out. Quantities are plain numbers in their base unit.

    Raises
    ------
    InputError
        When a text holds None and that is not its default: no file can say so.
    """
    return cast("dict[str, Any]", _CONVERTER.unstructure(instance))


def dumps(instance: object) -> str:
    """Return `instance`, an attrs object, as the text of a TOML file."""
    return tomli_w.dumps(unstructure(instance))


def dump(instance: object, path: str | PathLike[str]) -> None:
    """Write `instance`, an attrs object, to a TOML file at `path`."""
    text = dumps(instance)
    try:
        expanded(path).write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(path)) from None


NONE = "none"  # what stands for None in a file: there is no number, no limit, no end

Settings = str | Iterable[str] | Mapping[str, object]


def apply_settings(
    data: Mapping[str, object],
    settings: Settings,
    *,
    source: str = "--set",
    described: object = None,
) -> dict[str, Any]:
    """Return a copy of `data` in which each of the `settings` holds, a later one above others.

    Parameters
    ----------
    data
        Tables as mappings. It is not changed.
    settings
        One text ``"key.path=value"``, several of them, or a mapping of key paths to values. The
        value of a text is read as TOML, and as a text where it is not TOML: ``interval=50ms``
        needs no quotes. A number of it has no unit, and is refused where it needs one; a number of
        a mapping is in the base unit.
    source
        What a refusal names as its place.
    described
        What `data` describe: a setting of a part of a default, such as the rate of the traffic,
        leaves the rest of it, and its kind, as they are.

    Raises
    ------
    InputError
        When a setting has not that form, or its path leads through something that is no table.
        Tables that are not there are created; whether a key is known is for `structure` to say.
    """
    result = dict(data)
    for path, value in _pairs(settings, source):
        _put(result, path.split("."), value, source, described)
    return result


def each_once(settings: Settings, *, source: str) -> Settings:
    """Return settings when none of them undoes another, with a list for an iterator.

    Raises
    ------
    InputError
        For two of one key, and when a setting has not the form that `apply_settings` wants.
    """
    if is_several(settings):
        settings = list(settings)
    paths = [path for path, _ in _pairs(settings, source)]
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise InputError("is there twice", source=source, key=twice[0], allowed="each key once")
    return settings


def _pairs(settings: object, source: str) -> list[tuple[str, object]]:
    """Return the path and the value of each of the settings."""
    if isinstance(settings, Mapping):
        return [(_path(key, source), _from_python(value)) for key, value in settings.items()]
    if isinstance(settings, str):
        return [_pair(settings, source)]
    if not is_several(settings):
        raise InputError(f"{shown(settings)} is no setting", source=source, allowed=_SETTINGS)
    return [_pair(one, source) for one in settings]


def _pair(setting: object, source: str) -> tuple[str, object]:
    path, separator, text = setting.partition("=") if isinstance(setting, str) else ("", "", "")
    if not separator or not all(step.strip() for step in path.split(".")):
        raise InputError(f"{shown(setting)} is no setting", source=source, allowed="KEY=VALUE")
    return _path(path, source), _setting_value(text.strip())


def _path(key: object, source: str) -> str:
    steps = [step.strip() for step in key.split(".")] if isinstance(key, str) else []
    if not steps or not all(steps):
        allowed = "the path of a parameter, such as polling.interval"
        raise InputError(f"{shown(key)} is no key", source=source, allowed=allowed)
    return ".".join(steps)


def _from_python(value: Any) -> object:
    """Return a value as a file would hold it: descriptions as tables, NumPy's numbers plain."""
    if attrs.has(type(value)):
        return unstructure(value)
    if isinstance(value, Mapping):
        return {key: _from_python(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_from_python(item) for item in value]
    is_numpy = type(value).__module__ == "numpy" and hasattr(value, "tolist")
    return value.tolist() if is_numpy else value


def with_value(data: Mapping[str, object], path: str, value: object) -> dict[str, Any]:
    """Return a copy of `data` in which the key at a dotted path has a value.

    Raises
    ------
    InputError
        When the path leads through something that is no table.
    """
    result = dict(data)
    _put(result, path.split("."), value, None)
    return result


def _put(
    table: dict[str, Any],
    steps: list[str],
    value: object,
    source: str | None,
    described: object = None,
) -> None:
    """Set the key at the path `steps`, in copies of the tables that lie on the way."""
    for depth, step in enumerate(steps[:-1], start=1):
        described = getattr(described, step, None)
        is_default = step not in table and attrs.has(type(described))
        inner = unstructure(described) if is_default else table.get(step, {})
        if not isinstance(inner, Mapping):
            path = ".".join(steps[:depth])
            raise InputError(f"{shown(inner)} is not a table", source=source, key=path)
        table[step] = dict(inner)
        table = table[step]
    table[steps[-1]] = value


def _setting_value(text: str) -> object:
    try:
        parsed = _parse_toml(f"value = {text}")
    except ValueError:
        return text
    return typed(parsed["value"]) if len(parsed) == 1 else text


# --- tables -> objects ---------------------------------------------------------------------------


def _structure_attrs(value: object, cls: type[Any]) -> Any:
    return _build(_table(value), cls)


def _structure_variant(value: object, base: type[Any]) -> Any:
    if isinstance(value, str) and _is_named_by(value, base):
        return _build({}, _variant(value, base), tag=base.tag)
    if isinstance(value, str | int | float) and hasattr(base, "from_scalar"):
        return _from_scalar(value, base)
    table = dict(_table(value))
    if base.tag not in table:
        allowed = ", ".join(sorted(variants_of(base))) or _own.FORM
        raise InputError("is missing", key=base.tag, allowed=allowed)
    name = table.pop(base.tag)
    with _at(base.tag):
        variant = _variant(_structure_str(name, str), base)
    return _build(table, variant, tag=base.tag)


def _variant(name: str, base: type[Any]) -> type[Any]:
    """Return the variant with a name, be it one of the user's own."""
    variants = variants_of(base)
    if name in variants:
        return variants[name]
    if not _is_extensible(base):
        raise unknown_name(base.tag, name, variants)
    if not _OWN_CLASSES.get():
        return _refuse_own(name, base)
    announced = _own.announced(base)
    if _own.is_path(name) or name in announced:
        return _own.load(announced.get(name, name), base)
    error = unknown_name(base.tag, name, {*variants, *announced})
    allowed = ", ".join(filter(None, [error.allowed, _own.FORM]))
    raise InputError(error.problem, allowed=allowed)


def _refuse_own(name: str, base: type[Any]) -> type[Any]:
    known = ", ".join(sorted(variants_of(base))) or "no class of your own"
    problem = f"{shown(name)} is not one of lhsim's own, and a file of data runs no code"
    raise InputError(problem, allowed=known)


def _is_named_by(text: str, base: type[Any]) -> bool:
    """Return whether a text names a variant, and is no plain value that makes one."""
    return _is_extensible(base) and (_own.is_path(text) or not hasattr(base, "from_scalar"))


def _is_extensible(base: type[Any]) -> bool:
    return isinstance(getattr(base, "entry_points", None), str)


def _from_scalar(value: str | int | float, base: type[Any]) -> Any:
    allowed = f"a number, a text with a unit, or a table with the key {base.tag!r}"
    _refuse_bool_and_huge(value, allowed)
    try:
        unit = _UNIT.get()
        return base.from_scalar(value if unit is None else unit.parse(value))
    except InputError as error:  # its key names a field that the user has not written
        raise InputError(error.problem, allowed=error.allowed) from None


def variants_of(base: type[Any]) -> dict[str, type[Any]]:
    """Return the variants of a family by their names, in the order of their definition."""
    if "variants" in vars(base):
        import_module(base.variants)
    found = {}
    # The subclasses include the one that attrs replaced by its double with slots: no attrs class.
    if isinstance(vars(base).get("name"), str) and "__attrs_attrs__" in vars(base):
        found[vars(base)["name"]] = base
    for subclass in base.__subclasses__():
        found.update(variants_of(subclass))
    return found


def _build(table: Mapping[str, object], cls: type[Any], tag: str | None = None) -> Any:
    """Return the `cls` that `table` describes; each key is checked where it stands."""
    fields = fields_of(cls)
    values = {}
    for key, raw in table.items():
        with _at(key):
            if key not in fields:
                raise _unknown_key(key, [tag, *fields] if tag else list(fields))
            values[key] = _structure_field(raw, fields[key].type)
        _check_alone(cls, fields[key], values[key])
    for key, attribute in fields.items():
        if attribute.default is attrs.NOTHING and key not in values:
            raise InputError("is missing", key=key)
    built = _construct(cls, values)
    if hasattr(built, "check_described"):
        built.check_described()
    return built


def fields_of(cls: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    """Return the fields that a table may set, by the name of the key."""
    return {
        field.alias or field.name: field
        for field in attrs.fields(attrs.resolve_types(cls, include_extras=True))
        if field.init
    }


def _structure_field(raw: object, kind: Any) -> Any:
    if (raw is None or raw == NONE) and _may_be_none(kind):
        return None
    try:
        return _CONVERTER.structure(raw, kind)
    except StructureHandlerNotFoundError as error:  # of a user's own class
        problem = f"no file can hold its type, {kind!r}"
        raise InputError(
            problem, allowed="a field of a type that lhsim.parameters names"
        ) from error


def _may_be_none(kind: Any) -> bool:
    """Return whether a field may hold None, and no text that could be mistaken for it."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return type(None) in choices and str not in choices


def _unknown_key(key: str, known: list[str]) -> InputError:
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return InputError(f"unknown key{hint}", allowed=", ".join(known) or "no key at all")


def _check_alone(cls: type[Any], attribute: attrs.Attribute[Any], value: object) -> None:
    """Run the validator of one field, so that its refusal comes in the order of the file.

    The constructor runs all of them again: a validator that fails here because it looks at fields
    that are not there yet gets its turn then.
    """
    if attribute.validator is None or attribute.converter is not None:
        return
    try:
        attribute.validator(object.__new__(cls), attribute, value)
    except InputError:
        raise
    except Exception:
        return


def _construct(cls: type[Any], values: dict[str, Any]) -> Any:
    try:
        return cls(**values)
    except InputError:
        raise
    except (ValueError, ArithmeticError) as error:  # a user's own class may raise plain ones
        raise InputError(str(error.args[0]) if error.args else "is refused") from error


# --- plain values --------------------------------------------------------------------------------


def _structure_quantity(value: object, unit: Unit) -> float:
    unit = (_UNIT.get() or unit) if unit == SECOND else unit
    return unit.parse(_scalar(value, f"a number [{unit.symbol}] or a text with its unit"))


def _structure_float(value: object, _cls: object) -> float:
    allowed = "a number"
    number = _scalar(value, allowed)
    if isinstance(number, str):
        raise InputError(f"{shown(number)} is not a number", allowed=allowed)
    if not math.isfinite(number):
        raise InputError(f"{number!r} is not finite", allowed=allowed)
    return float(_without_unit(number, allowed))


def _structure_int(value: object, _cls: object) -> int:
    allowed = "a whole number"
    number = _scalar(value, allowed)
    if isinstance(number, str) or not float(number).is_integer():
        raise InputError(f"{shown(number)} is not a whole number", allowed=allowed)
    return cast(int, _scalar(int(_without_unit(number, allowed)), allowed))


def _without_unit(number: float, allowed: str) -> float:
    unit = getattr(number, "unit", None)
    if unit is not None:
        raise InputError(f"{number!r} {unit.symbol} has a unit", allowed=f"{allowed} without one")
    return number


def _structure_str(value: object, _cls: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{shown(value)} is not a text", allowed="a text in quotes")
    return value


def _structure_bool(value: object, _cls: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{shown(value)} is not a truth value", allowed="true, false")
    return value


def _structure_literal(value: object, cls: object) -> object:
    choices = get_args(cls)
    # True == 1 == 1.0, so the type counts as well.
    kind = int if isinstance(value, TypedWhole) else type(value)
    for choice in choices:
        if value == choice and kind is type(choice):
            return choice
    if isinstance(value, str) and all(isinstance(choice, str) for choice in choices):
        raise unknown_name("choice", value, choices)
    allowed = ", ".join(str(choice) for choice in choices)
    raise InputError(f"{shown(value)} is none of the choices", allowed=allowed)


def _structure_tuple(value: object, cls: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{shown(value)} is not a list", allowed="a list")
    kinds = get_args(cls)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise InputError(f"has {len(value)} items", allowed=f"a list of {len(kinds)}")
    items = []
    for index, (item, kind) in enumerate(zip(value, kinds, strict=True)):
        with _at(index):
            items.append(_CONVERTER.structure(item, kind))
    return tuple(items)


def _structure_dict(value: object, cls: object) -> dict[str, Any]:
    kind = get_args(cls)[1]
    result = {}
    for key, item in _table(value).items():
        with _at(key):
            result[key] = _CONVERTER.structure(item, kind)
    return result


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InputError(f"{shown(value)} is not a table", allowed="a table")
    return value


def _scalar(value: object, allowed: str) -> str | int | float:
    if not isinstance(value, str | int | float):
        raise InputError(f"{shown(value)} is not a number", allowed=allowed)
    _refuse_bool_and_huge(value, allowed)
    return value


def _refuse_bool_and_huge(value: str | int | float, allowed: str) -> None:
    if isinstance(value, bool):
        raise InputError(f"{value!r} is not a number", allowed=allowed)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        # TOML's own limit, which its reader in Python does not keep; a float may overflow beyond.
        raise InputError("has more than 64 bits", allowed=allowed)


# --- objects made in Python ----------------------------------------------------------------------


def check_types(instance: object, *, source: str) -> None:
    """Refuse a description that was made in Python and holds what its fields cannot.

    Numbers were checked by its validators; classes of the user's own are left to themselves.

    Raises
    ------
    InputError
        For the first field of another type, with its path.
    """
    try:
        _check_fields(instance)
    except InputError as error:
        raise InputError(
            error.problem, source=source, key=error.key, allowed=error.allowed
        ) from None


def _check_fields(instance: Any) -> None:
    for key, name, kind in _to_check(cast(Any, type(instance))):
        with _at(key):
            _check_type(getattr(instance, name), kind)


@functools.lru_cache(maxsize=256)
def _to_check(cls: type[Any]) -> tuple[tuple[str, str, Any], ...]:
    """Return the key, the name and the type of each field that is no plain number or text."""
    fields = ((key, one.name, one.type) for key, one in fields_of(cls).items())
    return tuple(field for field in fields if _is_to_check(field[2]))


def _is_to_check(kind: Any) -> bool:
    return kind is bool or _is_described(kind) or any(map(_is_to_check, get_args(kind)))


def _check_type(value: object, kind: Any) -> None:
    kinds = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is Annotated:
        _check_type(value, kinds[0])
    elif get_origin(kind) in (Union, UnionType):
        if len(kinds) == 1 and value is not None:
            _check_type(value, kinds[0])
    elif get_origin(kind) is tuple and _is_described(kinds[0]):
        for index, item in enumerate(value if is_several(value) else [value]):
            with _at(index):
                _check_type(item, kinds[0])
    elif kind is bool or _is_described(kind):
        _check_instance(value, kind)


def _check_instance(value: object, kind: type[Any]) -> None:
    if not isinstance(value, kind) and not (kind is bool and type(value).__name__ == "bool"):
        allowed = "true, false" if kind is bool else f"a {kind.__name__}"
        raise InputError(f"{shown(value)} is none", allowed=allowed)
    if attrs.has(type(value)) and type(value).__module__.startswith("lhsim."):
        _check_fields(value)


def _is_described(kind: object) -> bool:
    return isinstance(kind, type) and (attrs.has(kind) or _is_variant(kind))


# --- paths in messages ---------------------------------------------------------------------------


@contextmanager
def _at(step: str | int) -> Iterator[None]:
    """Put `step`, a key or an index, in front of the path of a refusal that passes."""
    try:
        yield
    except InputError as error:
        path = f"[{step}]" if isinstance(step, int) else _quoted(step)
        if error.key:
            path += error.key if error.key.startswith("[") else f".{error.key}"
        raise InputError(error.problem, key=path, allowed=error.allowed) from error.__cause__


def _quoted(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


# --- objects -> tables ---------------------------------------------------------------------------


def _unstructure_attrs(instance: Any) -> dict[str, Any]:
    cls = type(instance)
    table = {cls.tag: _name_of(cls)} if _is_variant(cls) else {}
    for key, attribute in fields_of(cls).items():
        value, default = getattr(instance, attribute.name), _default(attribute, instance)
        if value is None and default is not None and not _may_be_none(attribute.type):
            raise InputError("None cannot be written", key=key, allowed="a value")
        if value is None and default is not None:
            table[key] = NONE
        elif value != default:
            with _at(key):
                table[key] = _CONVERTER.unstructure(value, unstructure_as=attribute.type)
    return table


def _name_of(variant: type[Any]) -> Any:
    if _is_extensible(variant) and _own.is_own(variant):
        return _own.path_of(variant)
    return variant.name


def _default(attribute: attrs.Attribute[Any], instance: object) -> object:
    default: Any = attribute.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return default
    return default.factory(instance) if default.takes_self else default.factory()


# --- the table of types --------------------------------------------------------------------------


def unit_of(kind: object) -> Unit | None:
    """Return the unit of an annotated quantity such as `Seconds`, None for any other type."""
    metadata = kind.__metadata__ if get_origin(kind) is Annotated else ()  # type: ignore[attr-defined]
    return next((item for item in metadata if isinstance(item, Unit)), None)


def _is_variant(kind: object) -> bool:
    return isinstance(kind, type) and isinstance(getattr(kind, "tag", None), str)


def _origin_is(*origins: object) -> Any:
    return lambda kind: get_origin(kind) in origins


def _has_unit(kind: object) -> bool:
    return unit_of(kind) is not None


def _quantity_hook(kind: object) -> Any:
    if _is_variant(get_args(kind)[0]):
        return lambda value, _cls: _structure_in_unit(value, *get_args(kind))
    return lambda value, _cls: _structure_quantity(value, cast(Unit, unit_of(kind)))


def _structure_in_unit(value: object, base: type[Any], unit: Unit) -> Any:
    """Return a variant whose quantities have another unit than those of its base."""
    before = _UNIT.set(unit)
    try:
        return _structure_variant(value, base)
    finally:
        _UNIT.reset(before)


def _unstructure_quantity(value: Any) -> Any:
    return _unstructure_attrs(value) if attrs.has(type(value)) else float(value)


def _make_converter() -> Converter:
    # The hooks raise one InputError with its path, which cattrs' groups of exceptions, made for
    # "all mistakes at once", would only wrap.
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(str, _structure_str)
    converter.register_structure_hook(bool, _structure_bool)
    converter.register_structure_hook_func(_origin_is(Literal), _structure_literal)
    converter.register_structure_hook_func(_origin_is(tuple), _structure_tuple)
    converter.register_structure_hook_func(_origin_is(dict, Mapping), _structure_dict)
    converter.register_structure_hook_factory(_has_unit, _quantity_hook)
    converter.register_structure_hook_func(attrs.has, _structure_attrs)
    converter.register_structure_hook_func(_is_variant, _structure_variant)  # asked first
    for plain in (float, int, str, bool):
        converter.register_unstructure_hook(plain, plain)
    converter.register_unstructure_hook_func(_has_unit, _unstructure_quantity)
    converter.register_unstructure_hook_func(attrs.has, _unstructure_attrs)
    converter.register_unstructure_hook_func(_is_variant, _unstructure_attrs)
    return converter


_CONVERTER = _make_converter()
