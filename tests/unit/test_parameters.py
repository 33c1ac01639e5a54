from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import attrs
import pytest
from attrs import field, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lhsim import parameters
from lhsim.checks import positive, whole
from lhsim.errors import InputError
from lhsim.units import Bytes, PerSecond, Seconds

T = TypeVar("T")

# --- stand-ins for the model's classes -----------------------------------------------------------


@frozen
class Law:
    """A family of variants, as the distributions are."""

    tag: ClassVar[str] = "family"

    @classmethod
    def from_scalar(cls, value: object) -> Law:
        return Constant(parameters.structure({"of": value}, _Scalar, source="").of)


@frozen
class _Scalar:
    of: Seconds


@frozen
class Constant(Law):
    name: ClassVar[str] = "constant"

    value: Seconds = field(validator=positive)


@frozen
class Lognormal(Law):
    name: ClassVar[str] = "lognormal"

    median: Seconds = field(validator=positive)
    sigma: float = field(default=0.25, validator=positive)


@frozen
class Composite(Law):
    """Has no name of its own: it cannot be written in a file."""

    components: tuple[Law, ...]


@frozen
class Mixture(Composite):
    name: ClassVar[str] = "mixture"

    weights: tuple[float, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.components):
            raise InputError("has another length than components", key="weights")


@frozen
class Store:
    query: Law
    connections: int = field(default=1, validator=whole(1))
    write: Law | None = None


@frozen
class Polling:
    interval: Annotated[Seconds, "a note"] = field(default=1.0, validator=positive)
    limit: int | None = 10
    jitter: bool = False
    order: Literal["oldest", "priority"] = "oldest"


def _below_high(instance: Range, attribute: attrs.Attribute[float], value: float) -> None:
    if value >= instance.high:
        raise InputError(f"{value!r} is not below high", key=attribute.name)


@frozen
class Range:
    low: float = field(validator=_below_high)
    high: float = 1.0


@frozen
class System:
    store: Store
    title: str = ""
    polling: Polling = field(factory=Polling)
    payload: Bytes = 200.0
    rate: PerSecond | None = field(default=None, validator=attrs.validators.optional(positive))
    schedule: tuple[tuple[Seconds, PerSecond], ...] = ()
    notes: dict[str, str] = field(factory=dict)
    ranges: dict[str, Range] = field(factory=dict)
    version: Literal[1, 2] = 1


STORE = {"query": {"family": "constant", "value": "8 us"}}


def structure(data: Mapping[str, object]) -> System:
    return parameters.structure(data, System, source="a.toml")


def refusal(data: Mapping[str, object]) -> InputError:
    with pytest.raises(InputError) as caught:
        structure(data)
    assert caught.value.source == "a.toml"
    assert "\n" not in str(caught.value)
    return caught.value


def outcome(act: Callable[[], T]) -> T | InputError:
    try:
        return act()
    except InputError as error:
        return error


# --- what is accepted ----------------------------------------------------------------------------


def test_every_type_is_read() -> None:
    system = structure(
        {
            "store": {
                "query": {
                    "family": "mixture",
                    "components": [{"family": "lognormal", "median": "2 ms"}, 0.5, "1 min"],
                    "weights": [1, 2.5, 3],
                },
                "connections": 1e1,
            },
            "title": "a bridge",
            "polling": {"interval": "50ms", "jitter": True, "order": "priority"},
            "payload": "25 kB",
            "rate": "30/min",
            "schedule": [[0, 1], ["1 min", "120/min"]],
            "notes": {"host": "two cores"},
            "ranges": {"agents": {"high": 3, "low": 2.5}},
            "version": 2,
        }
    )
    query = Mixture((Lognormal(0.002), Constant(0.5), Constant(60.0)), (1.0, 2.5, 3.0))
    assert system == System(
        Store(query, connections=10),
        "a bridge",
        Polling(0.05, jitter=True, order="priority"),
        25_000.0,
        0.5,
        ((0.0, 1.0), (60.0, 2.0)),
        {"host": "two cores"},
        {"agents": Range(2.5, 3.0)},
        2,
    )
    assert type(system.store.connections) is int
    assert type(system.schedule[0][0]) is float


def test_the_root_may_be_a_family_or_one_of_its_variants() -> None:
    table = {"family": "constant", "value": 2}
    assert parameters.structure(table, Law, source="") == Constant(2.0)
    assert parameters.structure(table, Constant, source="") == Constant(2.0)
    with pytest.raises(InputError, match="unknown family 'constant'"):
        parameters.structure(table, Lognormal, source="")


def test_a_variant_takes_part_as_soon_as_it_is_defined_and_the_latest_counts() -> None:
    class Shape:
        tag: ClassVar[str] = "shape"

    with pytest.raises(InputError, match="unknown shape 'round'"):
        parameters.structure({"shape": "round"}, Shape, source="")

    @frozen
    class First(Shape):
        name: ClassVar[str] = "round"

    assert type(parameters.structure({"shape": "round"}, Shape, source="")) is First

    @frozen
    class Second(Shape):
        name: ClassVar[str] = "round"

    assert type(parameters.structure({"shape": "round"}, Shape, source="")) is Second


def test_a_named_subclass_without_fields_of_its_own_is_no_variant() -> None:
    class Half(Constant):  # attrs has not seen it
        name: ClassVar[str] = "half"

    with pytest.raises(InputError, match="unknown family 'half'"):
        parameters.structure({"family": "half", "value": 1}, Constant, source="")


def test_a_validator_sees_what_the_fields_converter_made() -> None:
    @frozen
    class Distance:
        value: float = field(converter=abs, validator=positive)

    assert parameters.structure({"value": -2}, Distance, source="") == Distance(2.0)


# --- what is refused, and where ------------------------------------------------------------------

MIXTURE = {"family": "mixture", "components": [1, {"family": "lognormal", "median": 1}]}


@pytest.mark.parametrize(
    ("data", "key", "problem"),
    [
        ({"stroe": 1}, "stroe", "unknown key (did you mean 'store'?)"),
        ({"store": STORE, "polling": {"intervl": 1}}, "polling.intervl", "mean 'interval'"),
        ({"store": STORE, "a key": 1}, '"a key"', "unknown key"),
        ({}, "store", "is missing"),
        ({"store": {}}, "store.query", "is missing"),
        ({"store": 1}, "store", "1 is not a table"),
        ({"store": [STORE]}, "store", "a list is not a table"),
        # variants
        ({"store": {"query": {}}}, "store.query.family", "is missing"),
        ({"store": {"query": {"family": 1}}}, "store.query.family", "1 is not a text"),
        (
            {"store": {"query": {"family": "lognorml"}}},
            "store.query.family",
            "unknown family 'lognorml' (did you mean 'lognormal'?)",
        ),
        (
            {"store": {"query": {"family": "constant", "value": 1, "sigma": 1}}},
            "store.query.sigma",
            "unknown key",
        ),
        ({"store": {"query": {"family": "constant"}}}, "store.query.value", "is missing"),
        ({"store": {"query": "8 parsecs"}}, "store.query", "has the unit 'parsecs'"),
        ({"store": {"query": -1}}, "store.query", "-1.0 is out of range"),
        ({"store": {"query": True}}, "store.query", "True is not a number"),
        ({"store": {"query": [1]}}, "store.query", "a list is not a table"),
        # the path leads through lists, tables with free keys, validators and constructors
        (
            {"store": {"query": {**MIXTURE, "components": [1, {"family": "lognormal"}]}}},
            "store.query.components[1].median",
            "is missing",
        ),
        (
            {"store": {"query": {**MIXTURE, "weights": [1, "x"]}}},
            "store.query.weights[1]",
            "'x' is not a number",
        ),
        (
            {"store": {"query": {**MIXTURE, "weights": [1]}}},
            "store.query.weights",
            "another length",
        ),
        ({"schedule": [[0, 1], [1, "2 kB"]]}, "schedule[1][1]", "has the unit 'kB'"),
        ({"schedule": [[0, 1, 2]]}, "schedule[0]", "has 3 items"),
        ({"ranges": {"x.y": {"low": 2}}}, 'ranges."x.y".low', "2.0 is not below high"),
        ({"store": {**STORE, "connections": 0}}, "store.connections", "0 is out of range"),
        # plain values
        ({"title": 1}, "title", "1 is not a text"),
        ({"polling": {"jitter": 1}}, "polling.jitter", "1 is not a truth value"),
        ({"polling": {"limit": 1.5}}, "polling.limit", "1.5 is not a whole number"),
        ({"polling": {"limit": True}}, "polling.limit", "True is not a number"),
        ({"polling": {"limit": "10"}}, "polling.limit", "'10' is not a whole number"),
        ({"polling": {"limit": 2**63}}, "polling.limit", "more than 64 bits"),
        ({"polling": {"limit": 1e300}}, "polling.limit", "more than 64 bits"),
        ({"polling": {"limit": float("inf")}}, "polling.limit", "inf is not a whole number"),
        ({"polling": {"order": "oldst"}}, "polling.order", "did you mean 'oldest'?"),
        ({"polling": {"order": True}}, "polling.order", "True is none of the choices"),
        ({"version": True}, "version", "True is none of the choices"),
        ({"version": 3}, "version", "3 is none of the choices"),
        ({"payload": float("nan")}, "payload", "nan is not finite"),
        ({"payload": 10**400}, "payload", "more than 64 bits"),
        ({"payload": "1 ms"}, "payload", "has the unit 'ms'"),
        ({"payload": {"a": 1 << 99_999}}, "payload", "a table is not a number"),
        ({"rate": "-1/s"}, "rate", "-1.0 is out of range"),
        ({"ranges": {"a": {"high": float("nan")}}}, "ranges.a.high", "nan is not finite"),
        ({"notes": {"a": "b" * 999 + "\n", "c": 1 << 99_999}}, "notes.c", "a huge number"),
        ({"notes": []}, "notes", "a list is not a table"),
        ({"schedule": {}}, "schedule", "a table is not a list"),
    ],
)
def test_a_refusal_names_the_key(data: dict[str, Any], key: str, problem: str) -> None:
    error = refusal(data)
    assert error.key == key
    assert problem in error.problem


def test_a_refusal_says_what_is_allowed() -> None:
    assert str(refusal({"store": STORE, "polling": {"jiter": True}})) == (
        "a.toml: polling.jiter: unknown key (did you mean 'jitter'?);"
        " allowed: interval, limit, jitter, order"
    )
    unknown = refusal({"store": {"query": {"family": "lognormal", "mu": 1}}})
    assert unknown.allowed == "family, median, sigma"
    missing = refusal({"store": {"query": {}}})
    assert missing.allowed == "constant, lognormal, mixture"
    assert "ns, us" in str(refusal({"polling": {"interval": "1 parsec"}}))


@pytest.mark.parametrize(
    ("data", "first"),
    [
        ({"title": 1, "payload": "x", "store": 1}, "title"),
        ({"payload": "x", "title": 1}, "payload"),
        ({"store": {"query": 1, "connections": 0, "conn": 1}}, "store.connections"),
        ({"store": {"conn": 1, "query": 1, "connections": 0}}, "store.conn"),
        ({"rate": -1, "title": 1}, "rate"),
    ],
)
def test_the_first_mistake_in_the_file_is_reported(data: dict[str, Any], first: str) -> None:
    assert refusal(data).key == first


def test_a_plain_error_of_a_users_class_is_a_refusal_too() -> None:
    @frozen
    class Fussy:
        share: float = field(validator=attrs.validators.le(1))

    with pytest.raises(InputError, match="'share' must be <= 1"):
        parameters.structure({"share": 2}, Fussy, source="a.toml")


def test_a_nest_without_an_end_is_refused() -> None:
    data: dict[str, Any] = {"family": "constant", "value": 1}
    for _ in range(2000):
        data = {"family": "mixture", "components": [data]}
    assert "nested too deeply" in str(refusal({"store": {"query": data}}))


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a1. \n", max_size=5)
    | st.dates()
    | st.sampled_from(["constant", "mixture", "8 us", "9/s", "priority"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([f.name for f in attrs.fields(System)])
            | st.sampled_from(["family", "query", "components", "value", "interval", "low"])
            | st.text("a1. \n", max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([f.name for f in attrs.fields(System)]), json_like))
@example({"store": STORE})
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_data_raises_anything_but_an_input_error(data: dict[str, Any]) -> None:
    result = outcome(lambda: structure(data))
    if isinstance(result, InputError):
        assert result.key is not None
        assert "\n" not in str(result)
    else:
        assert isinstance(result, System)


# --- objects to tables ---------------------------------------------------------------------------


def test_defaults_are_left_out_and_the_tag_comes_first() -> None:
    system = System(Store(Lognormal(0.002, 0.5)), polling=Polling(2), notes={"a": "b"})
    table = parameters.unstructure(system)
    assert table == {
        "store": {"query": {"family": "lognormal", "median": 0.002, "sigma": 0.5}},
        "polling": {"interval": 2.0},
        "notes": {"a": "b"},
    }
    assert list(table) == ["store", "polling", "notes"]
    assert next(iter(table["store"]["query"])) == "family"
    assert type(table["polling"]["interval"]) is float


def test_none_that_is_not_the_default_is_written_as_a_word() -> None:
    system = System(Store(Constant(1.0)), polling=Polling(limit=None))
    table = parameters.unstructure(system)
    assert table["polling"] == {"limit": "none"}
    assert parameters.structure(table, System, source="x") == system


@pytest.mark.parametrize("value", ["none", None])
def test_a_setting_takes_a_limit_away(value: object) -> None:
    table = parameters.apply_settings({"polling": {"limit": 3}}, {"polling.limit": value})
    found = parameters.structure({"store": {"query": 1.0}} | table, System, source="x")
    assert found.polling.limit is None


def test_none_is_no_number() -> None:
    with pytest.raises(InputError, match=r"polling\.interval: 'none' is not a number"):
        parameters.structure({"polling": {"interval": "none"}}, System, source="x")


numbers = st.floats(1e-9, 1e9)
laws = st.recursive(
    st.builds(Constant, numbers) | st.builds(Lognormal, numbers, numbers),
    lambda inner: st.builds(Mixture, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=4,
)
systems = st.builds(
    System,
    st.builds(Store, laws, st.integers(1, 2**63 - 1), st.none() | laws),
    st.text(st.characters(codec="utf-8")),
    st.builds(
        Polling, numbers, st.integers(1, 9), st.booleans(), st.sampled_from(["oldest", "priority"])
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | numbers,
    st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple),
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
    st.dictionaries(st.text(max_size=3), st.builds(Range, st.floats(-9, 0))),
    st.sampled_from([1, 2]),
)


@given(systems)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_system_survives_the_way_through_tables_and_through_a_file(system: System) -> None:
    assert structure(parameters.unstructure(system)) == system
    text = parameters.dumps(system)
    assert structure(parameters._parse_toml(text)) == system


def test_a_system_survives_the_way_through_the_disk(tmp_path: Any) -> None:
    system = System(Store(Constant(8e-6)), title="Brücke\r\n", rate=0.1)
    parameters.dump(system, tmp_path / "a.toml")
    assert parameters.load(tmp_path / "a.toml", System) == system
    with pytest.raises(InputError, match="cannot be written"):
        parameters.dump(system, tmp_path / "nowhere" / "a.toml")


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = 1\nb = [1,", r"is not valid TOML: .*\(at end of document\)"),
        (b"a = 1\nb == 2", r"is not valid TOML: .*\(at line 2, column 4\)"),
        (b"a = 1\na = 2\n", r"is not valid TOML: .*\(at line 2, column 6\)"),
        (b"a = 2021-02-30", "is not valid TOML"),
        (b"a = " + b"9" * 5000, "is not valid TOML"),
        (b"a = " + b"[" * 5000, "is not valid TOML: nested too deeply"),
        (b'title = "\xff"', "is not UTF-8 at byte 9"),
        (b"a.b", "is not valid TOML"),
        (b"\x00", "is not valid TOML"),
    ],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path: Any, content: bytes, problem: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        parameters.load(path, System)
    assert caught.value.source == str(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"a\.toml: does not exist"):
        parameters.load(tmp_path / "a.toml", System)
    with pytest.raises(InputError, match="is a directory"):
        parameters.load(tmp_path, System)
    (tmp_path / "a.toml").write_text("")
    with pytest.raises(InputError, match=r"a\.toml/b\.toml: cannot be read"):
        parameters.load(tmp_path / "a.toml" / "b.toml", System)
    with pytest.raises(InputError):
        parameters.load("a\0.toml", System)


@given(st.binary(max_size=40) | st.text("[]{}=.,'\"\n ab1-:eT#", max_size=40).map(str.encode))
@settings(deadline=None)
def test_no_file_raises_anything_but_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    result = outcome(lambda: parameters.read_toml(path))
    assert isinstance(result, dict) or result.source == str(path)


# --- settings ------------------------------------------------------------------------------------


def test_settings_replace_and_create_and_leave_the_data_alone() -> None:
    data = {"polling": {"interval": 1, "limit": 5}, "title": "old"}
    changed = parameters.apply_settings(
        data,
        [
            "polling.interval=50ms",
            " polling . limit = 7 ",
            "store.query={family='constant', value='1 s'}",
            "store.connections=4",
            "title=a = b",
            'notes.x="1"',
            "notes.y=",
            "polling.jitter=true",
        ],
    )
    assert changed == {
        "polling": {"interval": "50ms", "limit": 7, "jitter": True},
        "title": "a = b",
        "store": {"query": {"family": "constant", "value": "1 s"}, "connections": 4},
        "notes": {"x": "1", "y": ""},
    }
    assert data == {"polling": {"interval": 1, "limit": 5}, "title": "old"}
    assert structure(changed).polling.interval == 0.05


def test_a_setting_with_two_lines_sets_one_key() -> None:
    assert parameters.apply_settings({}, ["a=1\nb=2"]) == {"a": "1\nb=2"}


@pytest.mark.parametrize("setting", ["polling", "=1", "a..b=1", ".a=1", "a.=1", ""])
def test_a_setting_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match="is no setting; allowed: KEY=VALUE"):
        parameters.apply_settings({}, [setting])


def test_a_setting_through_a_plain_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"--set: polling\.interval: 1 is not a table"):
        parameters.apply_settings({"polling": {"interval": 1}}, ["polling.interval.mean=1"])


def test_an_unknown_setting_is_refused_by_its_key() -> None:
    error = refusal(parameters.apply_settings({"store": STORE}, ["polling.intervl=1"]))
    assert error.key == "polling.intervl"
