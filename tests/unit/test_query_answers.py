"""Answers that take several statements, on tables that say what the test wants."""

from collections.abc import Mapping
from datetime import UTC

import pytest

from penstock.clickhouse.contract import Parameter, Row
from penstock.errors import ValidationFailed
from penstock.settings import Settings
from penstock.telemetry import Metrics
from query_api import answers
from query_api.buckets import Interval
from query_api.params import Span, StatsRequest
from query_api.reader import Reader

HOUR = 3_600_000


class Script:
    """Tables that give one answer after the other, and remember the statements."""

    def __init__(self, *rows: list[Row]) -> None:
        self._rows = list(rows)
        self.asked: list[str] = []

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        self.asked.append(sql)
        return self._rows.pop(0)

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        raise NotImplementedError

    def delete(self, table: str, condition: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    def create_database(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


OPEN = Span()


def by_hour(script: Script, span: Span = OPEN) -> bytes:
    reader = Reader(script, Settings(), Metrics())
    return answers.stats(reader, "p", StatsRequest(None, span, Interval.HOUR, UTC))


def test_what_arrives_between_the_statements_is_in_no_bucket_and_not_counted() -> None:
    script = Script([[10 * HOUR + 1]], [[11 * HOUR + 1]], [["a", [36_000], [1]]])
    by_hour(script)
    assert "start >= toDateTime(36000, 'UTC') AND start < toDateTime(43200, 'UTC')" in script.asked[-1]


def test_dates_that_are_given_are_not_looked_for() -> None:
    script = Script([])
    assert by_hour(script, Span(0, HOUR)) == b"[]"
    assert len(script.asked) == 1


def test_without_events_nothing_is_counted() -> None:
    script = Script([], [])
    assert by_hour(script) == b"[]"
    assert len(script.asked) == 2


def test_buckets_of_all_names_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_BUCKETS_IN_ALL", 3)
    counts: list[Row] = [["a", [0], [1]], ["b", [0], [1]]]
    assert by_hour(Script(counts[:1]), Span(0, 3 * HOUR))
    with pytest.raises(ValidationFailed) as caught:
        by_hour(Script(counts), Span(0, 2 * HOUR))
    assert [(wrong.field, wrong.code) for wrong in caught.value.field_errors] == [("interval", "too_big")]
