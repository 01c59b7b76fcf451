"""Rows to bodies: data verbatim, keys in order, buckets complete."""

import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.clickhouse.contract import Row
from query_api.adding import Series
from query_api.cursor import Place, from_token
from query_api.results import events_body, names_body, series_body, stats_body

ID = "0199d0a0-0000-7000-8000-000000000001"
ROW: Row = [ID, "signup", '{"b":1.0,"a":2}', "p", "c", "m", "2026-03-01 12:00:00.120", "ada@example.com"]


def changed(**columns: object) -> Row:
    names = ["id", "name", "data", "project", "contact", "email_id", "occurred_at", "email"]
    return [columns.get(name, value) for name, value in zip(names, ROW, strict=True)]


def test_a_row_byte_for_byte() -> None:
    assert events_body([ROW], 1) == (
        b'{"events":[{"id":"'
        + ID.encode()
        + b'","name":"signup","data":{"b":1.0,"a":2},"projectId":"p","contactId":"c",'
        b'"emailId":"m","createdAt":"2026-03-01T12:00:00.120Z","contact":{"email":"ada@example.com"}}],"cursor":null}'
    )


def test_a_row_without_the_column_email_has_no_contact() -> None:
    assert b'"createdAt":"2026-03-01T12:00:00.120Z"}' in events_body([ROW[:-1]], 1)


def test_empty_columns_are_null() -> None:
    [row] = json.loads(events_body([changed(data="", email_id="", email="")], 1))["events"]
    assert (row["data"], row["emailId"], row["contact"]) == (None, None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_data_is_put_in_as_its_own_text(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace").decode()
    assert f'"data":{text},"projectId"'.encode() in events_body([changed(data=text)], 1)


def test_the_cursor_is_behind_the_last_row_shown() -> None:
    body = json.loads(events_body([ROW, changed(id="hidden")], 1))
    assert len(body["events"]) == 1
    assert from_token(body["cursor"]) == Place(1_772_366_400_120, ID)


def test_no_rows_are_an_empty_page() -> None:
    assert events_body([], 100) == b'{"events":[],"cursor":null}'


def test_names_and_counts_keep_their_order() -> None:
    rows: list[Row] = [["ü", 3], ["a\x00", 1]]
    assert json.loads(names_body(rows)) == {"eventNames": ["ü", "a\x00"]}
    assert json.loads(stats_body(rows)) == [{"name": "ü", "count": 3}, {"name": "a\x00", "count": 1}]


def test_a_series_has_all_buckets() -> None:
    found = [Series("a", 3, {7200: 1, 0: 2}), Series('"b"', 1, {3600: 1})]
    assert json.loads(series_body(found, [0, 3600, 7200, 10800])) == [
        {
            "name": name,
            "count": total,
            "buckets": [
                {"start": f"1970-01-01T0{hour}:00:00.000Z", "count": count} for hour, count in enumerate(counts)
            ],
        }
        for name, total, counts in (("a", 3, [2, 0, 1]), ('"b"', 1, [0, 1, 0]))
    ]


def test_a_bucket_in_the_first_centuries_has_four_digits_of_year() -> None:
    assert b'"start":"0970-01-01T00:00:00.000Z"' in series_body([Series("a", 1, {0: 1})], [-31_556_908_800, 0])
