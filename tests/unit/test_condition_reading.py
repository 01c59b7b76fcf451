"""What is wrong with a condition's text, fault by fault with its path and code; and what a good one is read as."""

import json
from typing import Any

import pytest

from penstock.conditions import Condition, event_names, passes_with_time, read_condition, segment_ids
from penstock.conditions.compiling import Scope, compile_conditions
from penstock.conditions.tree import (
    DataFilter,
    EmailFilter,
    EventFilter,
    Filter,
    MomentFilter,
    Operator,
    SegmentFilter,
    SubscribedFilter,
)
from penstock.errors import ValidationFailed

LARGEST = 1.7976931348623157e308
SEGMENT = "0000000a-0000-4000-8000-00000000000f"
OTHER = "0000000b-0000-4000-8000-00000000000f"
DAY_MS = 86_400_000
MORNING_MS = 1_795_417_200_000
MORNING = "2026-11-23T07:00:00Z"
THOUSAND_YEARS_MS = 1000 * 366 * DAY_MS

EQUALITY = ["equals", "notEquals"]
ORDER = ["greaterThan", "greaterThanOrEqual", "lessThan", "lessThanOrEqual"]
SPANS = ["within", "olderThan"]
CONTAINS = ["contains", "notContains"]
EXISTENCE = ["exists", "notExists"]
EVER = ["triggered", "notTriggered"]
EVER_WITHIN = ["triggeredWithin", "notTriggeredWithin", "triggeredOlderThan"]
COUNTS = ["countEquals", "countGreaterThan", "countGreaterThanOrEqual", "countLessThan", "countLessThanOrEqual"]
MEMBERSHIP = ["memberOfSegment", "notMemberOfSegment"]
EVENTS = EVER + EVER_WITHIN + COUNTS
DATA = EQUALITY + ORDER + SPANS + CONTAINS + EXISTENCE
MOMENTS = EQUALITY + ORDER + SPANS
OPERATORS = {
    "email": EQUALITY + CONTAINS,
    "subscribed": EQUALITY,
    "createdAt": MOMENTS,
    "updatedAt": MOMENTS,
    "data.plan": DATA,
    "trigger.data.plan": DATA,
    "event.signup": EVENTS,
    **{f"email.{mail}": EVENTS for mail in ("sent", "delivery", "open", "click", "bounce", "complaint")},
    f"segment.{SEGMENT}": MEMBERSHIP,
}
EVERY_OPERATOR = [operator.value for operator in Operator]
FIRST = "condition.groups[0].filters[0]"

NO_STRING: list[Any] = [5, 1.5, True, [], {}]
NO_OBJECT: list[Any] = [None, 5, True, "x", [], ["x"]]
NO_LIST: list[Any] = [5, True, "x", {}, {"0": {}}]


def ask(field: Any, operator: Any, value: Any = None, **more: Any) -> dict[str, Any]:
    """A filter; without a value where that is None."""
    return {"field": field, "operator": operator, **({} if value is None else {"value": value}), **more}


def rule(*filters: Any, logic: Any = "AND", **more: Any) -> dict[str, Any]:
    """A condition of one group."""
    return {"logic": logic, "groups": [{"filters": list(filters), **more}]}


GOOD = ask("data.plan", "equals", "pro")


def nested(levels: int, *filters: Any) -> dict[str, Any]:
    """A condition of so many levels, with the filters in the innermost one."""
    found = rule(*filters)
    for _ in range(levels - 1):
        found = {"logic": "AND", "groups": [{"conditions": found}]}
    return found


def read(condition: Any, *, with_trigger: bool = False) -> Condition:
    text = condition if isinstance(condition, bytes) else json.dumps(condition).encode()
    return read_condition(text, "condition", with_trigger=with_trigger)


def read_one(one: Any, *, with_trigger: bool = False) -> Filter:
    """A condition's only filter."""
    condition = read(b'{"logic":"AND","groups":[{"filters":[%b]}]}' % one if isinstance(one, bytes) else rule(one),
                     with_trigger=with_trigger)  # fmt: skip
    ((found,),) = (group.filters for group in condition.groups)
    return found


def faults(condition: Any, *, with_trigger: bool = False) -> list[tuple[str, str]]:
    """Path and code of all that is wrong, in the order in which it is told."""
    with pytest.raises(ValidationFailed) as caught:
        read(condition, with_trigger=with_trigger)
    assert all(problem.message for problem in caught.value.field_errors)
    return [(problem.field, problem.code) for problem in caught.value.field_errors]


def faults_of(one: Any, *, with_trigger: bool = False) -> list[tuple[str, str]]:
    """The same of a condition's only filter; the paths behind the filter's."""
    found = faults(rule(one), with_trigger=with_trigger)
    assert all(path.startswith(FIRST) for path, _ in found)
    return [(path.removeprefix(FIRST), code) for path, code in found]


def complete(field: str, operator: str) -> dict[str, Any]:
    """A filter with all that its field and operator need, and nothing else."""
    if operator in (*SPANS, *EVER_WITHIN):
        return ask(field, operator, 3, unit="hours")
    if operator in (*EXISTENCE, *EVER, *MEMBERSHIP):
        return ask(field, operator)
    if operator in COUNTS:
        return ask(field, operator, 2)
    values: dict[str, Any] = {"subscribed": True, "createdAt": MORNING, "updatedAt": MORNING}
    return ask(field, operator, values.get(field, "pro"))


# --- the tree ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NO_OBJECT)
def test_a_condition_is_an_object(value: Any) -> None:
    assert faults(value) == [("condition", "invalid_type")]


def test_the_path_is_where_the_condition_stands_in_the_body() -> None:
    with pytest.raises(ValidationFailed) as caught:
        read_condition(b'{"groups":[]}', "trigger.condition")
    assert [problem.field for problem in caught.value.field_errors] == [
        "trigger.condition.logic",
        "trigger.condition.groups",
    ]


@pytest.mark.parametrize("logic", ["and", "NOT", "XOR", "", "AND ", "ANDOR"])
def test_an_unknown_logic_is_named(logic: str) -> None:
    assert faults(rule(GOOD, logic=logic)) == [("condition.logic", "invalid_enum_value")]


@pytest.mark.parametrize("logic", [None, 5, True, [], ["AND"], {}])
def test_a_logic_of_another_type_is_named(logic: Any) -> None:
    assert faults(rule(GOOD, logic=logic)) == [("condition.logic", "invalid_type")]
    assert faults({"groups": [{"filters": [GOOD]}]}) == [("condition.logic", "invalid_type")]


def test_groups_are_required_and_not_empty() -> None:
    assert faults({"logic": "AND"}) == [("condition.groups", "invalid_type")]
    assert faults({"logic": "AND", "groups": None}) == [("condition.groups", "invalid_type")]
    assert faults({"logic": "AND", "groups": []}) == [("condition.groups", "too_small")]


@pytest.mark.parametrize("value", NO_LIST)
def test_groups_and_filters_are_arrays(value: Any) -> None:
    assert faults({"logic": "AND", "groups": value}) == [("condition.groups", "invalid_type")]
    group = {"filters": value}
    assert faults({"logic": "AND", "groups": [group]}) == [("condition.groups[0].filters", "invalid_type")]
    beside = {"filters": value, "conditions": rule(GOOD)}
    assert faults({"logic": "AND", "groups": [beside]}) == [("condition.groups[0].filters", "invalid_type")]


@pytest.mark.parametrize("value", NO_OBJECT)
def test_groups_and_filters_are_objects(value: Any) -> None:
    groups = [{"filters": [GOOD]}, value]
    assert faults({"logic": "AND", "groups": groups}) == [("condition.groups[1]", "invalid_type")]
    assert faults(rule(GOOD, value)) == [("condition.groups[0].filters[1]", "invalid_type")]


def test_a_group_has_filters_or_conditions() -> None:
    for group, code in (
        ({}, "invalid_type"),
        ({"filters": None}, "invalid_type"),
        ({"conditions": None}, "invalid_type"),
        ({"filters": []}, "too_small"),
        ({"filters": [], "conditions": None}, "too_small"),
    ):
        assert faults({"logic": "OR", "groups": [group]}) == [("condition.groups[0].filters", code)]


@pytest.mark.parametrize("filters", [{}, {"filters": None}, {"filters": []}])
def test_beside_conditions_filters_may_be_missing(filters: dict[str, Any]) -> None:
    (group,) = read({"logic": "AND", "groups": [{**filters, "conditions": rule(GOOD)}]}).groups
    assert group.filters == ()
    assert group.conditions == read(rule(GOOD))


@pytest.mark.parametrize("value", [5, False, "", "x", [], [GOOD]])
def test_nested_conditions_are_an_object(value: Any) -> None:
    assert faults(rule(GOOD, conditions=value)) == [("condition.groups[0].conditions", "invalid_type")]


def test_faults_of_nested_conditions_have_their_whole_path() -> None:
    inner = {"logic": "NOR", "groups": [{"filters": [GOOD]}, {"filters": [ask("plan", "equals", 1)]}]}
    assert faults({"logic": "AND", "groups": [{"filters": [GOOD]}, {"conditions": inner}]}) == [
        ("condition.groups[1].conditions.logic", "invalid_enum_value"),
        ("condition.groups[1].conditions.groups[1].filters[0].field", "invalid_enum_value"),
    ]
    assert faults({"logic": "AND", "groups": [{"conditions": {}}]}) == [
        ("condition.groups[0].conditions.logic", "invalid_type"),
        ("condition.groups[0].conditions.groups", "invalid_type"),
    ]


def test_ten_levels_are_taken_and_eleven_are_not() -> None:
    condition: Condition | None = read(nested(10, GOOD))
    for _ in range(9):
        assert condition
        condition = condition.groups[0].conditions
    assert condition
    assert condition.groups[0].filters == (DataFilter(("plan",), Operator.EQUALS, "pro"),)
    deepest = "condition" + ".groups[0].conditions" * 10
    assert faults(nested(11, GOOD)) == [(deepest, "too_big")]
    assert faults(nested(50, {})) == [(deepest, "too_big")]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"a":', b"}"), (b'{"logic":"AND","groups":[{"conditions":', b"}]}")],
)
def test_what_is_nested_far_deeper_is_one_fault(opening: bytes, closing: bytes) -> None:
    text = opening * 50_000 + b"1" + closing * 50_000
    assert faults(text) == [("condition", "custom")]


def test_a_hundred_filters_are_taken_and_more_are_named_once() -> None:
    assert len(read(rule(*[GOOD] * 100)).groups[0].filters) == 100
    assert faults(rule(*[GOOD] * 101)) == [("condition.groups[0].filters", "too_big")]
    assert faults(rule(*[{}] * 101)) == [("condition.groups[0].filters", "too_big")]


def test_filters_are_counted_over_all_groups_and_levels() -> None:
    inner = rule(*[GOOD] * 40)
    groups: list[Any] = [{"filters": [GOOD] * 59}, {"filters": [GOOD], "conditions": inner}]
    assert read({"logic": "OR", "groups": groups})
    more = [*groups, {"filters": [GOOD]}, {"filters": [{}] * 200}, {"filters": [GOOD]}]
    assert faults({"logic": "OR", "groups": more}) == [("condition.groups[2].filters", "too_big")]


def test_what_a_filter_is_wrong_in_before_there_are_too_many_is_told_too() -> None:
    groups = [{"filters": [{}]}, {"filters": [GOOD] * 100}, {"filters": 5}]
    assert faults({"logic": "X", "groups": groups}) == [
        ("condition.logic", "invalid_enum_value"),
        ("condition.groups[0].filters[0].field", "invalid_type"),
        ("condition.groups[1].filters", "too_big"),
        ("condition.groups[2].filters", "invalid_type"),
    ]


# --- fields and operators ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "operators"), OPERATORS.items())
def test_each_field_takes_its_operators(field: str, operators: list[str]) -> None:
    for operator in operators:
        found = read_one(complete(field, operator), with_trigger=True)
        assert found.operator == operator


@pytest.mark.parametrize(("field", "operators"), OPERATORS.items())
def test_each_field_has_no_other_operators(field: str, operators: list[str]) -> None:
    others = [operator for operator in EVERY_OPERATOR if operator not in operators]
    for operator in [*others, "Equals", "", "is", f"{operators[0]} "]:
        one = ask(field, operator, complete(field, operators[0]).get("value", 1), unit="days")
        assert faults_of(one, with_trigger=True) == [(".operator", "invalid_enum_value")]


@pytest.mark.parametrize("field", OPERATORS)
def test_the_operator_is_a_string_and_required(field: str) -> None:
    for operator in (None, *NO_STRING):
        assert faults_of(ask(field, operator, "x"), with_trigger=True) == [(".operator", "invalid_type")]
    assert faults_of({"field": field}, with_trigger=True) == [(".operator", "invalid_type")]


@pytest.mark.parametrize("field", [None, *NO_STRING])
def test_the_field_is_a_string_and_required(field: Any) -> None:
    assert faults_of(ask(field, "equals", "x")) == [(".field", "invalid_type")]
    assert faults_of({}) == [(".field", "invalid_type")]


@pytest.mark.parametrize(
    "field",
    [
        "",
        "plan",
        "Email",
        "email ",
        "email.",
        "email.received",
        "email.Open",
        "email.open.x",
        "data",
        "Data.plan",
        "event",
        "segment",
        "trigger",
        "trigger.data",
        "trigger.event",
        "created_at",
        "id",
        "x" * 30_000,
    ],
)
@pytest.mark.parametrize("with_trigger", [True, False])
def test_an_unknown_field_is_named_and_nothing_else_of_the_filter(field: str, with_trigger: bool) -> None:
    one = ask(field, "nonsense", [], unit=5)
    assert faults_of(one, with_trigger=with_trigger) == [(".field", "invalid_enum_value")]


def test_what_the_triggering_event_says_is_asked_for_in_a_trigger_only() -> None:
    for field in ("trigger.data.amount", "trigger.data.", "trigger.data.a..b"):
        assert faults_of(ask(field, "exists")) == [(".field", "invalid_enum_value")]
    assert read_one(ask("trigger.data.amount", "exists"), with_trigger=True) == DataFilter(
        ("amount",), Operator.EXISTS, is_of_trigger=True
    )


# --- email, subscribed, moments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS["email"])
def test_an_address_is_compared_with_text(operator: str) -> None:
    assert read_one(ask("email", operator, "Ada@Example.COM")) == EmailFilter(Operator(operator), "ada@example.com")
    assert read_one(ask("email", operator, "x" * 1000))
    of_another_type: list[Any] = [None, *NO_STRING]
    for value in of_another_type:
        assert faults_of(ask("email", operator, value)) == [(".value", "invalid_type")]
    assert faults_of(ask("email", operator, "")) == [(".value", "too_small")]
    assert faults_of(ask("email", operator, "x" * 1001)) == [(".value", "too_big")]


@pytest.mark.parametrize("operator", EQUALITY)
def test_the_subscription_is_true_or_false(operator: str) -> None:
    for value in (True, False):
        assert read_one(ask("subscribed", operator, value)) == SubscribedFilter(Operator(operator), value)
    of_another_type: list[Any] = [None, 0, 1, "true", "", [], {}]
    for other in of_another_type:
        assert faults_of(ask("subscribed", operator, other)) == [(".value", "invalid_type")]


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("operator", EQUALITY + ORDER)
def test_a_moment_is_a_date_or_a_time(field: Any, operator: str) -> None:
    midnight = MORNING_MS - 7 * 3_600_000
    for value, start_ms, length_ms in (
        ("2026-11-23", midnight, DAY_MS),
        (MORNING, MORNING_MS, 1),
        ("2026-11-23T07:00", MORNING_MS, 1),
        ("2026-11-23 08:00:00.0009+01:00", MORNING_MS, 1),
        ("2026-11-23t07:00:00,5z", MORNING_MS + 500, 1),
        ("1969-12-31", -DAY_MS, DAY_MS),
        ("9999-12-31", 253_402_214_400_000, DAY_MS),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800_000 - 14 * 3_600_000, 1),
    ):
        expected = MomentFilter(field, Operator(operator), start_ms, start_ms + length_ms)
        assert read_one(ask(field, operator, value)) == expected
    of_another_type: list[Any] = [None, 5, MORNING_MS, True, [], {}]
    for value in of_another_type:
        assert faults_of(ask(field, operator, value)) == [(".value", "invalid_type")]
    for value in (
        "",
        "today",
        "2026-02-30",
        "2026-11-23T24:00:00Z",
        "2026-11-23T",
        "20261123",
        "2026-W01",
        " 2026-11-23",
        "2026-11-23\n",
        "２０２６-11-23",
        "x" * 5000,
    ):
        assert faults_of(ask(field, operator, value)) == [(".value", "invalid_string")]


# --- spans of time -----------------------------------------------------------------------------------------------------

SPAN_FILTERS = [
    *[(field, operator) for field in ("createdAt", "updatedAt", "data.seen") for operator in SPANS],
    *[(field, operator) for field in ("event.signup", "email.open") for operator in EVER_WITHIN],
    ("trigger.data.seen", "within"),
]


def span_of(one: Any) -> int:
    found = read_one(one, with_trigger=True)
    assert isinstance(found, (MomentFilter, DataFilter, EventFilter))
    assert found.span_ms is not None
    return found.span_ms


@pytest.mark.parametrize(("field", "operator"), SPAN_FILTERS)
def test_a_span_has_a_value_and_a_unit(field: str, operator: str) -> None:
    for value, unit, span_ms in (
        (1, "minutes", 60_000),
        (1.5, "hours", 5_400_000),
        (30, "days", 30 * DAY_MS),
        (1e300, "days", THOUSAND_YEARS_MS),
    ):
        assert span_of(ask(field, operator, value, unit=unit)) == span_ms


@pytest.mark.parametrize(("field", "operator"), SPAN_FILTERS)
def test_a_span_without_value_or_unit_or_with_wrong_ones_is_named(field: str, operator: str) -> None:
    wrong: list[Any] = [
        (None, "days", [(".value", "invalid_type")]),
        ("5", "days", [(".value", "invalid_type")]),
        (True, "days", [(".value", "invalid_type")]),
        ([], "days", [(".value", "invalid_type")]),
        ({"value": 5}, "days", [(".value", "invalid_type")]),
        (0, "days", [(".value", "too_small")]),
        (-1, "days", [(".value", "too_small")]),
        (5, None, [(".unit", "invalid_type")]),
        (5, "weeks", [(".unit", "invalid_enum_value")]),
        (5, "Days", [(".unit", "invalid_enum_value")]),
        (5, "", [(".unit", "invalid_enum_value")]),
    ]
    for value, unit, expected in wrong:
        assert faults_of(ask(field, operator, value, unit=unit), with_trigger=True) == expected
    both = {(".unit", "invalid_type"), (".value", "invalid_type")}
    assert set(faults_of(ask(field, operator), with_trigger=True)) == both


@pytest.mark.parametrize("unit", [5, True, [], {}])
def test_a_unit_of_another_type_is_no_unit(unit: Any) -> None:
    assert faults_of(ask("createdAt", "within", 5, unit=unit)) == [(".unit", "invalid_type")]


# --- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "is_of_trigger"), [("data.", False), ("trigger.data.", True)])
def test_a_path_in_data_has_keys_between_single_dots(prefix: str, is_of_trigger: bool) -> None:
    for path in ("plan", "a.b.c", "größe", "with blank", "0", 'quote"', "email", "data.plan"):
        found = read_one(ask(prefix + path, "exists"), with_trigger=True)
        assert found == DataFilter(tuple(path.split(".")), Operator.EXISTS, is_of_trigger=is_of_trigger)
    assert read_one(ask(prefix + "x" * (255 - len(prefix)), "exists"), with_trigger=True)
    for path in ("", ".", "a.", ".a", "a..b", "x" * (256 - len(prefix))):
        assert faults_of(ask(prefix + path, "exists"), with_trigger=True) == [(".field", "invalid_string")]


@pytest.mark.parametrize("prefix", ["data.", "trigger.data."])
def test_a_path_in_data_has_8_keys_at_most(prefix: str) -> None:
    path = prefix + ".".join("abcdefgh")
    assert read_one(ask(path, "exists"), with_trigger=True)
    assert faults_of(ask(f"{path}.i", "exists"), with_trigger=True) == [(".field", "too_big")]
    assert faults_of(ask(f"{path}.i.", "exists"), with_trigger=True) == [(".field", "invalid_string")]


@pytest.mark.parametrize("operator", EQUALITY + CONTAINS)
def test_data_is_compared_with_what_json_has_but_null_and_containers(operator: str) -> None:
    for value in ("pro", "", "x" * 1000, True, False, 1, 1.5, 0, -1):
        found = read_one(ask("data.plan", operator, value))
        assert isinstance(found, DataFilter)
        assert found.value == value
        assert isinstance(found.value, bool) == isinstance(value, bool)
    of_another_type: list[Any] = [None, [], ["pro"], {}]
    for other in of_another_type:
        assert faults_of(ask("data.plan", operator, other)) == [(".value", "invalid_type")]
    assert faults_of(ask("data.plan", operator, "x" * 1001)) == [(".value", "too_big")]


@pytest.mark.parametrize("operator", ORDER)
def test_numbers_and_texts_have_an_order_and_booleans_do_not(operator: str) -> None:
    for value in ("pro", "", 1, -1.5):
        assert read_one(ask("data.n", operator, value)) == DataFilter(("n",), Operator(operator), value)
    of_another_type: list[Any] = [None, True, False, [], {}]
    for other in of_another_type:
        assert faults_of(ask("data.n", operator, other)) == [(".value", "invalid_type")]
    assert faults_of(ask("data.n", operator, "x" * 1001)) == [(".value", "too_big")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"1.0", 1.0),
        (b"10e-1", 1.0),
        (b"-0", 0.0),
        (b"9007199254740993", 9007199254740992.0),
        (b"1e400", LARGEST),
        (b"-1e400", -LARGEST),
        (b"1" * 400, LARGEST),
        (b"-" + b"1" * 400, -LARGEST),
        (b"9" * 6000, LARGEST),
        (b"1e-400", 0.0),
    ],
)
def test_numbers_are_doubles_and_those_beyond_count_as_the_largest(text: bytes, value: float) -> None:
    found = read_one(b'{"field":"data.n","operator":"lessThan","value":%b}' % text)
    assert isinstance(found, DataFilter)
    assert type(found.value) is float
    assert found.value == value


@pytest.mark.parametrize("number", [b"1e400", b"9" * 6000])
def test_spans_and_counts_beyond_doubles_are_taken_too(number: bytes) -> None:
    within = read_one(b'{"field":"createdAt","operator":"within","unit":"days","value":%b}' % number)
    assert within == MomentFilter("createdAt", Operator.WITHIN, span_ms=THOUSAND_YEARS_MS)
    counted = read_one(b'{"field":"event.x","operator":"countLessThan","value":%b}' % number)
    assert counted == EventFilter("x", Operator.COUNT_LESS, 1 << 62)
    for one in (
        b'{"field":"createdAt","operator":"within","unit":"days","value":-%b}',
        b'{"field":"event.x","operator":"countEquals","value":-%b}',
    ):
        assert faults(b'{"logic":"AND","groups":[{"filters":[%b]}]}' % (one % number)) == [
            (f"{FIRST}.value", "too_small")
        ]


def test_filters_that_differ_in_the_type_of_a_value_only_are_two() -> None:
    """To Python `1 == True`, to JSON not: what is counted for one must not be taken for the other."""
    number, flag = (ask("event.x", "triggered", where=[ask("data.n", "equals", value)]) for value in (1, True))
    compiled = compile_conditions(OTHER, [read(rule(number)), read(rule(flag))], {}, 0, Scope())
    assert compiled.predicates[0] != compiled.predicates[1]


# --- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["x", "größe/1", "a.b", ".", " ", "email.open", "email.received", "x" * 255, "é" * 255]
)
def test_an_event_is_asked_for_by_its_name(name: str) -> None:
    assert read_one(ask(f"event.{name}", "triggered")) == EventFilter(name, Operator.TRIGGERED)


def test_the_name_of_an_event_has_1_to_255_characters() -> None:
    assert faults_of(ask("event.", "triggered")) == [(".field", "too_small")]
    assert faults_of(ask("event." + "x" * 256, "triggered")) == [(".field", "too_big")]


def test_a_mails_events_have_their_own_names() -> None:
    assert read_one(ask("email.open", "triggered")) == EventFilter("email.open", Operator.TRIGGERED)
    assert read_one(ask("event.email.open", "triggered")) == EventFilter("email.open", Operator.TRIGGERED)


@pytest.mark.parametrize("operator", COUNTS)
def test_a_count_is_a_whole_number_of_0_or_more(operator: str) -> None:
    for value in (0, 1, 2.0, 10**6):
        assert read_one(ask("event.x", operator, value)) == EventFilter("x", Operator(operator), int(value))
    of_another_type: list[Any] = [None, "1", True, 1.5, -0.5, [], {}]
    for other in of_another_type:
        assert faults_of(ask("event.x", operator, other)) == [(".value", "invalid_type")]
    assert faults_of(ask("event.x", operator, -1)) == [(".value", "too_small")]


@pytest.mark.parametrize("operator", COUNTS)
def test_what_is_counted_may_be_of_a_span(operator: str) -> None:
    found = read_one(ask("event.x", operator, 2, within={"value": 2, "unit": "hours"}))
    assert found == EventFilter("x", Operator(operator), 2, 7_200_000)
    assert read_one(ask("event.x", operator, 2, within=None)) == EventFilter("x", Operator(operator), 2)
    for within, expected in (
        (5, [(".within", "invalid_type")]),
        (False, [(".within", "invalid_type")]),
        ("2 hours", [(".within", "invalid_type")]),
        ([], [(".within", "invalid_type")]),
        ({"value": 2}, [(".within.unit", "invalid_type")]),
        ({"value": 2, "unit": "weeks"}, [(".within.unit", "invalid_enum_value")]),
        ({"unit": "days"}, [(".within.value", "invalid_type")]),
        ({"value": "2", "unit": "days"}, [(".within.value", "invalid_type")]),
        ({"value": 0, "unit": "days"}, [(".within.value", "too_small")]),
        ({}, [(".within.unit", "invalid_type"), (".within.value", "invalid_type")]),
    ):
        assert faults_of(ask("event.x", operator, 2, within=within)) == expected


@pytest.mark.parametrize("operator", EVENTS)
def test_all_that_is_asked_of_events_may_have_filters_on_their_data(operator: str) -> None:
    where = [ask("data.a.b", "greaterThan", 5), ask("data.c", "within", 1, unit="days")]
    found = read_one({**complete("event.x", operator), "where": where})
    assert isinstance(found, EventFilter)
    assert found.where == (
        DataFilter(("a", "b"), Operator.GREATER, 5.0),
        DataFilter(("c",), Operator.WITHIN, span_ms=DAY_MS),
    )
    of_another_type: list[Any] = [None, []]
    for none in of_another_type:
        assert read_one({**complete("event.x", operator), "where": none}) == read_one(complete("event.x", operator))


@pytest.mark.parametrize("where", NO_LIST)
def test_where_is_an_array(where: Any) -> None:
    assert faults_of(ask("event.x", "triggered", where=where)) == [(".where", "invalid_type")]


def test_where_has_20_filters_at_most() -> None:
    found = read_one(ask("event.x", "triggered", where=[GOOD] * 20))
    assert isinstance(found, EventFilter)
    assert len(found.where) == 20
    assert faults_of(ask("event.x", "triggered", where=[GOOD] * 21)) == [(".where", "too_big")]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        *[(value, ("", "invalid_type")) for value in NO_OBJECT],
        ({}, (".field", "invalid_type")),
        ({"field": None}, (".field", "invalid_type")),
        (ask("email", "equals", "x"), (".field", "invalid_enum_value")),
        (ask("plan", "equals", "x"), (".field", "invalid_enum_value")),
        (ask("data", "exists"), (".field", "invalid_enum_value")),
        (ask("event.y", "triggered"), (".field", "invalid_enum_value")),
        (ask("trigger.data.x", "exists"), (".field", "invalid_enum_value")),
        (ask(f"segment.{SEGMENT}", "memberOfSegment"), (".field", "invalid_enum_value")),
        (ask("data.", "exists"), (".field", "invalid_string")),
        (ask("data.a..b", "exists"), (".field", "invalid_string")),
        (ask("data.a.b.c.d.e.f.g.h.i", "exists"), (".field", "too_big")),
        (ask("data.x", "triggered"), (".operator", "invalid_enum_value")),
        (ask("data.x", None), (".operator", "invalid_type")),
        (ask("data.x", "equals"), (".value", "invalid_type")),
        (ask("data.x", "equals", "x" * 1001), (".value", "too_big")),
        (ask("data.x", "within", 5), (".unit", "invalid_type")),
        (ask("data.x", "greaterThan", True), (".value", "invalid_type")),
    ],
)
@pytest.mark.parametrize("with_trigger", [True, False])
def test_filters_on_an_events_data_are_those_of_data_only(
    one: Any, expected: tuple[str, str], with_trigger: bool
) -> None:
    path, code = expected
    found = faults_of(ask("event.x", "triggered", where=[GOOD, one]), with_trigger=with_trigger)
    assert found == [(f".where[1]{path}", code)]


@pytest.mark.parametrize("field", NO_STRING)
def test_the_field_of_a_filter_on_an_events_data_is_a_string(field: Any) -> None:
    found = faults_of(ask("event.x", "triggered", where=[ask(field, "exists")]))
    assert found == [(".where[0].field", "invalid_type")]


# --- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", MEMBERSHIP)
def test_a_segment_is_asked_for_by_its_id(operator: str) -> None:
    for id_ in (SEGMENT, SEGMENT.upper()):
        assert read_one(ask(f"segment.{id_}", operator)) == SegmentFilter(SEGMENT, Operator(operator))


@pytest.mark.parametrize(
    "id_", ["", "vip-users", SEGMENT[:-1], SEGMENT + "0", SEGMENT.replace("-", ""), f"{{{SEGMENT}}}", f"{SEGMENT}\n"]
)
def test_a_segment_id_that_is_no_uuid_is_named(id_: str) -> None:
    assert faults_of(ask(f"segment.{id_}", "memberOfSegment")) == [(".field", "invalid_string")]


# --- together ----------------------------------------------------------------------------------------------------------


def test_all_that_is_wrong_is_told_together_in_reading_order() -> None:
    condition = {
        "logic": "NOT",
        "groups": [
            {"filters": [ask("plan", "equals", 1), GOOD, ask("email", "exists"), 5]},
            7,
            {"filters": [ask("segment.x", "is"), ask("data.a..b", "is"), ask("event.", "is", where=[{}])]},
            {"filters": [], "conditions": {"logic": "AND", "groups": [{"filters": [ask("subscribed", "equals")]}, {}]}},
            {"filters": [ask("event.x", "countEquals", "1", within={"value": -1, "unit": "weeks"}, where=5)]},
            {"filters": []},
        ],
    }
    assert faults(condition) == [
        ("condition.logic", "invalid_enum_value"),
        ("condition.groups[0].filters[0].field", "invalid_enum_value"),
        ("condition.groups[0].filters[2].operator", "invalid_enum_value"),
        ("condition.groups[0].filters[3]", "invalid_type"),
        ("condition.groups[1]", "invalid_type"),
        ("condition.groups[2].filters[0].field", "invalid_string"),
        ("condition.groups[2].filters[0].operator", "invalid_enum_value"),
        ("condition.groups[2].filters[1].field", "invalid_string"),
        ("condition.groups[2].filters[1].operator", "invalid_enum_value"),
        ("condition.groups[2].filters[2].field", "too_small"),
        ("condition.groups[2].filters[2].operator", "invalid_enum_value"),
        ("condition.groups[2].filters[2].where[0].field", "invalid_type"),
        ("condition.groups[3].conditions.groups[0].filters[0].value", "invalid_type"),
        ("condition.groups[3].conditions.groups[1].filters", "invalid_type"),
        ("condition.groups[4].filters[0].where", "invalid_type"),
        ("condition.groups[4].filters[0].value", "invalid_type"),
        ("condition.groups[4].filters[0].within.unit", "invalid_enum_value"),
        ("condition.groups[4].filters[0].within.value", "too_small"),
        ("condition.groups[5].filters", "too_small"),
    ]


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    text = (
        b'{"logic":5,"groups":7,"logic":"OR","groups":[{"filters":[],"filters":'
        b'[{"field":"x","operator":"exists","field":"data.b","value":1,"operator":"equals","value":"last"}]}]}'
    )
    condition = read(text)
    assert condition.logic == "OR"
    assert condition.groups[0].filters == (DataFilter(("b",), Operator.EQUALS, "last"),)
    undone = b'{"logic":"AND","groups":[{"filters":[{"field":"data.b","operator":"exists","field":"x"}]}]}'
    assert faults(undone) == [(f"{FIRST}.field", "invalid_enum_value")]


@pytest.mark.parametrize("junk", [None, 5, "x", True, [], {}, {"value": []}])
def test_members_that_a_filter_does_not_need_are_ignored(junk: Any) -> None:
    for field, operators in OPERATORS.items():
        for operator in operators:
            needed = complete(field, operator)
            own = {"value", "unit"} & needed.keys()
            may_have = {"where", "within"} if operator in COUNTS else {"where"} if operator in EVENTS else set()
            ignored = {"value", "unit", "within", "where", "id", "logic"} - own - may_have
            more = {**needed, **dict.fromkeys(ignored, junk)}
            assert read_one(more, with_trigger=True) == read_one(needed, with_trigger=True)


def test_unknown_members_of_conditions_and_groups_are_ignored() -> None:
    group = {"filters": [GOOD], "logic": 5, "more": []}
    assert read({"logic": "AND", "groups": [group], "filters": 5, "id": {}}) == read(rule(GOOD))


def test_blanks_and_escapes_mean_nothing() -> None:
    text = (
        b' {\n"logic" : "\\u0041ND", "groups":[ {"filters":[{"field":"data.pl\\u0061n",'
        b'"operator":"equals","value":"pro"}]}]}\t'
    )
    assert read(text) == read(rule(GOOD))


# --- what a condition asks for -----------------------------------------------------------------------------------------


def deep(*filters: Any) -> Condition:
    """The filters three levels down, beside others."""
    inner = rule(GOOD, conditions=rule(*filters))
    return read({"logic": "OR", "groups": [{"filters": [GOOD]}, {"conditions": inner}]}, with_trigger=True)


def test_the_segments_of_all_levels_are_known() -> None:
    first, second = ask(f"segment.{SEGMENT}", "memberOfSegment"), ask(f"segment.{OTHER.upper()}", "notMemberOfSegment")
    assert segment_ids(read(rule(GOOD))) == set()
    assert segment_ids(read(rule(first, first, conditions=rule(second)))) == {SEGMENT, OTHER}
    assert segment_ids(deep(first, second)) == {SEGMENT, OTHER}


def test_the_events_of_all_levels_are_known() -> None:
    asked = [ask("event.signup", "triggered"), ask("email.open", "notTriggered"), ask("event.a.b", "countEquals", 1)]
    assert event_names(read(rule(GOOD, ask("trigger.data.x", "exists")), with_trigger=True)) == set()
    assert event_names(read(rule(asked[0], conditions=rule(*asked)))) == {"signup", "email.open", "a.b"}
    assert event_names(deep(*asked)) == {"signup", "email.open", "a.b"}


@pytest.mark.parametrize(("field", "operator"), [(field, one) for field, many in OPERATORS.items() for one in many])
def test_only_spans_pass_with_time(field: str, operator: str) -> None:
    expected = operator in (*SPANS, *EVER_WITHIN)
    for condition in (rule(complete(field, operator)), rule(GOOD, conditions=rule(complete(field, operator)))):
        assert passes_with_time(read(condition, with_trigger=True)) is expected
    assert passes_with_time(deep(complete(field, operator))) is expected


@pytest.mark.parametrize("operator", COUNTS)
def test_counts_of_a_span_pass_with_time(operator: str) -> None:
    assert passes_with_time(deep(ask("event.x", operator, 1, within={"value": 1, "unit": "days"})))


@pytest.mark.parametrize("operator", EVER + COUNTS)
def test_what_filters_on_an_events_data_say_may_pass_with_time(operator: str) -> None:
    passing = {**complete("event.x", operator), "where": [GOOD, ask("data.at", "olderThan", 1, unit="days")]}
    assert passes_with_time(deep(passing))
    assert not passes_with_time(deep({**complete("event.x", operator), "where": [GOOD]}))
