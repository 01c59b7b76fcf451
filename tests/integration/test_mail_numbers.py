"""Opens and clicks are numbered by their place in the log, however it is cut into batches and whoever dies."""

import json
import uuid
from contextlib import suppress

import pytest

from penstock.clickhouse import Tables
from penstock.clickhouse.gateway import ClientTables
from penstock.clickhouse.migrate import migrate_tables
from schemas.event import Event, encode_event
from schemas.ids import contact_id
from schemas.record import pack
from tests.support.faults import Crash, FaultyTables
from tests.support.fixtures import drop, need_chdb
from tests.support.people import PROJECT, Said
from tests.support.records import stored
from tests.support.story import Story
from tests.support.tables import open_test_tables

ADA = "ada@example.com"


def mail_event(name: str = "email.open", mail: str = "m1", who: str = ADA, *, numbered: bool = True) -> Event:
    """As the SNS hook writes it; the mail hook, not numbered."""
    data = '{"openedAt":"x"}' if numbered else '{"own":1}'
    contact = contact_id(PROJECT, who)
    return Event(
        PROJECT, str(uuid.uuid4()), name, "2026-11-23T07:00:00.000Z", contact, who, data=data, email_id=mail,
        derived=numbered, numbered=numbered,
    )  # fmt: skip


def tell(story: Story, *events: Event) -> None:
    value = pack([encode_event(one) for one in events], derived=True, accepted_ms=1)
    story.records.append(stored(value, len(story.records)))


def numbers(tables: Tables) -> list[tuple[str, str, int | None, bool | None]]:
    """Contact, name, number and whether it is the first, in the order of the log."""
    found = []
    for email, name, data in tables.select("SELECT email, name, data FROM events ORDER BY log_offset, log_index"):
        told = json.loads(str(data))
        number, first = told.get("opens", told.get("clicks")), told.get("isFirstOpen", told.get("isFirstClick"))
        found.append((str(email), str(name), number, first))
    return found


@pytest.mark.parametrize("max_rows", [1, 50_000])
def test_opens_and_clicks_of_a_mail_and_contact_are_numbered(tables: ClientTables, max_rows: int) -> None:
    migrate_tables(tables)
    story = Story(tables)
    tell(story, mail_event(), mail_event("email.click"), mail_event(who="bob@example.com"))
    tell(story, mail_event(), mail_event(mail="m2"), mail_event("email.click"))
    tell(story, mail_event("email.sent"), mail_event(numbered=False), mail_event())
    story.write(max_rows=max_rows)
    assert numbers(tables) == [
        (ADA, "email.open", 1, True),
        (ADA, "email.click", 1, True),
        ("bob@example.com", "email.open", 1, True),
        (ADA, "email.open", 2, False),
        (ADA, "email.open", 1, True),
        (ADA, "email.click", 2, False),
        (ADA, "email.sent", None, None),
        (ADA, "email.open", None, None),
        (ADA, "email.open", 4, False),
    ]
    for table in ("events_by_name", "events_by_contact"):
        stored_data = tables.select(f"SELECT data FROM {table} WHERE email_id = 'm2'")[0][0]
        assert json.loads(str(stored_data)) == {"openedAt": "x", "opens": 1, "isFirstOpen": True}


def test_a_second_copy_is_not_counted(tables: ClientTables) -> None:
    migrate_tables(tables)
    story, one = Story(tables), mail_event()
    tell(story, one, one)
    tell(story, one, mail_event())
    story.write(max_rows=1)
    assert [number for _, _, number, _ in numbers(tables)] == [1, 2]


def test_numbers_begin_anew_where_the_contact_was_erased(tables: ClientTables) -> None:
    migrate_tables(tables)
    story = Story(tables)
    story.project = PROJECT
    tell(story, mail_event(), mail_event())
    story.tell(Said("erase", ADA))
    tell(story, mail_event())
    story.write()
    assert [number for _, _, number, _ in numbers(tables)] == [1]


def test_a_crash_at_any_statement_leaves_the_numbers_as_they_are() -> None:
    need_chdb()
    tables = open_test_tables()
    story = Story(tables)
    watched = FaultyTables(tables)
    tell(story, mail_event(), mail_event())
    story.write(watched)
    expected = 2
    for after in (False, True):
        for at in range(len(watched.statements)):
            tell(story, mail_event())
            tell(story, mail_event())
            with suppress(Crash):
                story.write(FaultyTables(tables, at=at, after=after))
            story.write(max_rows=1)
            expected += 2
            assert [number for _, _, number, _ in numbers(tables)] == list(range(1, expected + 1))
    drop(tables)
