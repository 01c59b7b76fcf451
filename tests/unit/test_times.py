"""Times: text, milliseconds, and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.times import EPOCH, from_ms, parse_iso, to_ms, to_wire


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"), (999, "1970-01-01T00:00:00.999Z"),
     (1763881200000, "2025-11-23T07:00:00.000Z"), (951782399999, "2000-02-28T23:59:59.999Z"),
     (253402300799999, "9999-12-31T23:59:59.999Z")],
)  # fmt: skip
def test_the_wire_has_utc_with_milliseconds_and_z(unix_ms: int, text: str) -> None:
    assert to_wire(unix_ms) == text
    assert to_ms(parse_iso(text)) == unix_ms
    assert from_ms(unix_ms).tzinfo is UTC


def test_a_fraction_of_a_millisecond_is_dropped_towards_the_past() -> None:
    assert to_ms(EPOCH + timedelta(microseconds=1_999)) == 1
    assert to_ms(EPOCH - timedelta(microseconds=1)) == -1


def test_the_zone_of_a_moment_does_not_matter() -> None:
    east = timezone(timedelta(hours=5, minutes=45))
    assert to_ms(datetime(1970, 1, 1, 5, 45, tzinfo=east)) == 0


def test_without_a_zone_a_text_is_utc_and_without_a_time_the_days_start() -> None:
    assert parse_iso("2026-11-23T07:00:00") == parse_iso("2026-11-23T07:00:00Z")
    assert parse_iso("2026-11-23") == parse_iso("2026-11-23T00:00:00Z")
    assert parse_iso("2026-11-23T07:00:00+05:30") == parse_iso("2026-11-23T01:30:00Z")


def test_a_fraction_may_have_any_number_of_digits() -> None:
    for digits in ("1", "123456789", "1234567890", "9" * 5000):
        expected = int(digits[:3].ljust(3, "0"))
        assert to_ms(parse_iso(f"1970-01-01T00:00:00.{digits}Z")) == expected


@pytest.mark.parametrize(
    "text", ["", "2026", "20261123", "2026-11-23T", "2026-11-31", "٢٠٢٦-11-23", "2026-11-23T07:00:00Z\n"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_iso(text)
