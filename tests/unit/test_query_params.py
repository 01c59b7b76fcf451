"""Raw parameters to requests: what is accepted, and every code of what is not."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ValidationFailed
from query_api.buckets import Interval
from query_api.cursor import Place, to_token
from query_api.fields import Fields, query_values
from query_api.moments import parse_stretch
from query_api.params import (
    ContactRequest,
    EventsRequest,
    Span,
    StatsRequest,
    contact_request,
    events_request,
    stats_request,
)
from schemas.position import to_token as position_token
from schemas.times import parse_iso, to_ms

DAY = 86_400_000
BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return to_ms(parse_iso(text))


def codes(fields: Fields) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as caught:
        fields.finish()
    return [(problem.field, problem.code) for problem in caught.value.field_errors]


def test_without_parameters_the_defaults_hold() -> None:
    fields = Fields({})
    assert events_request(fields) == EventsRequest(None, Span(None, None), 100, None)
    assert stats_request(fields) == StatsRequest(None, Span(None, None), None, UTC)
    assert fields.position() is None
    fields.finish()


def test_everything_at_once() -> None:
    place = Place(5, "00000000-0000-4000-8000-000000000001")
    fields = Fields(
        {
            "eventName": " a ",
            "limit": "1000",
            "cursor": to_token(place),
            "startDate": "2026-01-01",
            "endDate": "2026-01-01",
        },
        position_token({1: 2}),
    )
    start = ms("2026-01-01")
    assert events_request(fields) == EventsRequest(" a ", Span(start, start + DAY), 1000, place)
    assert fields.position() == {1: 2}
    fields.finish()


def test_statistics_in_a_zone() -> None:
    fields = Fields(
        {"interval": "week", "timezone": "Europe/Berlin", "startDate": "2026-01-01", "endDate": "2026-01-01T00:00"}
    )
    start = ms("2025-12-31T23:00:00Z")
    assert stats_request(fields) == StatsRequest(None, Span(start, start + 1), Interval.WEEK, BERLIN)
    fields.finish()


def test_a_contact_id_is_normalised() -> None:
    fields = Fields({"contactId": "ABCDEF00-0000-4000-8000-00000000000F"})
    assert contact_request(fields) == ContactRequest("abcdef00-0000-4000-8000-00000000000f", 50, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "abcdef0000004000800000000000000f",
        "{abcdef00-0000-4000-8000-00000000000f}",
        "urn:uuid:abcdef00-0000-4000-8000-00000000000f",
    ],
)
def test_a_contact_id_in_another_form_is_none(text: str) -> None:
    fields = Fields({"contactId": text})
    contact_request(fields)
    assert codes(fields) == [("contactId", "invalid_string")]


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("1000", 1000), ("007", 7), ("0" * 5000 + "9", 9), ("", 100)])
def test_a_limit_is_plain_digits(text: str, limit: int) -> None:
    fields = Fields({"limit": text})
    assert fields.limit(100) == limit
    fields.finish()


@given(st.text())
def test_any_limit_is_in_range(text: str) -> None:
    assert 1 <= Fields({"limit": text}).limit(100) <= 1000


def test_all_problems_are_collected() -> None:
    fields = Fields(
        {"limit": "0", "cursor": "x", "startDate": "x", "endDate": "x", "interval": "x", "timezone": "x"}, "x"
    )
    events_request(fields)
    fields.position()
    assert codes(fields) == [
        ("startDate", "invalid_string"),
        ("endDate", "invalid_string"),
        ("limit", "too_small"),
        ("cursor", "invalid_string"),
        ("X-After-Position", "invalid_string"),
    ]


@pytest.mark.parametrize(
    ("text", "zone", "start", "length"),
    [
        ("2026-01-01", UTC, "2026-01-01T00:00:00Z", DAY),
        ("2026-03-29", BERLIN, "2026-03-28T23:00:00Z", 23 * 3_600_000),
        ("2026-10-25", BERLIN, "2026-10-24T22:00:00Z", 25 * 3_600_000),
        ("2018-11-04", ZoneInfo("America/Sao_Paulo"), "2018-11-04T03:00:00Z", 23 * 3_600_000),
        ("2011-12-30", ZoneInfo("Pacific/Apia"), "2011-12-30T10:00:00Z", 0),
        ("2011-12-31", ZoneInfo("Pacific/Apia"), "2011-12-30T10:00:00Z", DAY),
        ("2026-01-01T00:00:00Z", BERLIN, "2026-01-01T00:00:00Z", 1),
        ("2026-01-01T00:00:00", BERLIN, "2025-12-31T23:00:00Z", 1),
        ("2026-01-01T00:00:00.123", BERLIN, "2025-12-31T23:00:00.123Z", 1),
        ("2026-03-29T02:30:00", BERLIN, "2026-03-29T01:00:00Z", 1),
        ("2026-01-01T02:00:00+02:00", UTC, "2026-01-01T00:00:00Z", 1),
        ("2026-01-01T02:00:00 02:00", UTC, "2026-01-01T00:00:00Z", 1),
        ("2026-01-01T02:00 0200", UTC, "2026-01-01T00:00:00Z", 1),
        ("2026-01-01 02:00:00.5 02", UTC, "2026-01-01T00:00:00.500Z", 1),
        ("2026-01-01 02:00", UTC, "2026-01-01T02:00:00Z", 1),
        ("2026-01-01T00:00:00.0001Z", UTC, "2026-01-01T00:00:00.001Z", 0),
        ("2026-01-01T00:00:00.000000001Z", UTC, "2026-01-01T00:00:00.001Z", 0),
        ("2026-01-01T00:00:00.000000000Z", UTC, "2026-01-01T00:00:00.000Z", 1),
    ],
)
def test_a_text_names_a_day_or_a_millisecond(text: str, zone: tzinfo, start: str, length: int) -> None:
    found = parse_stretch(text, zone)
    assert (found.start_ms, found.end_ms) == (ms(start), ms(start) + length)


@given(st.datetimes(), st.sampled_from([10, 16, 19]), st.timezones())
def test_every_valid_date_is_one(moment: datetime, length: int, zone: ZoneInfo) -> None:
    found = parse_stretch(str(moment)[:length], zone)
    assert found.start_ms <= found.end_ms


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01",
        "9999-12-31",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59.999999",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", "UTC"])
def test_the_ends_of_the_calendar_are_dates_too(text: str, zone: str) -> None:
    assert parse_stretch(text, ZoneInfo(zone)).start_ms


def test_moments_beyond_the_calendar_of_every_zone_are_taken_for_its_ends() -> None:
    first, last = parse_stretch("0001-01-01T00:00:00+23:59", UTC), parse_stretch("9999-12-31T23:59:59-23:59", UTC)
    assert (first.start_ms, last.start_ms) == (ms("0002-01-01"), ms("9999-01-01"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026",
        "2026-01",
        "2026-1-1",
        "2026-W01-1",
        "2026-001",
        "20260101T000000Z",
        "2026-02-29",
        "2026-01-01T24:01Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01",
        "-2026-01-01",
        "2026-01-01T",
        "2026-01-01T00:00:00 02:00 ",
        "2026-01-01 +02:00",
        "１９７０-01-01",
        "2026-01-01\n",
        "1e3",
    ],
)
def test_other_text_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any kind of it
        parse_stretch(text, UTC)


@given(st.text(alphabet="0123456789-:.TZ+ ", max_size=30))
def test_what_looks_like_a_date_raises_nothing_else(text: str) -> None:
    fields = Fields({"startDate": text, "endDate": text})
    events_request(fields)


@given(st.text(max_size=40))
def test_no_zone_name_reaches_the_file_system(text: str) -> None:
    assert Fields({"timezone": text}).zone() is not None


def test_a_plus_that_became_a_blank_is_read_in_zones() -> None:
    fields = Fields(query_values(b"timezone=Etc/GMT+5"))
    assert str(fields.zone()) == "Etc/GMT+5"
    fields.finish()


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", {}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a=&b", {"a": "", "b": ""}),
        (b"a=%2F%00%C3%A9+%2B", {"a": "/\x00é +"}),
        ("a=größe".encode(), {"a": "größe"}),
        (b"a=\xff%ff", {"a": "\udcff\udcff"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_query_strings_are_decoded(query: bytes, values: dict[str, str]) -> None:
    assert query_values(query) == values
