"""The migrations as files."""

from importlib.resources import files

from schemas.clickhouse import migrations
from schemas.tables import EVENT_COLUMNS


def test_the_numbers_have_no_gaps_and_every_file_is_one() -> None:
    found = migrations()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    names = {file.name for file in files("schemas.clickhouse").iterdir() if file.name.endswith(".sql")}
    assert names == {"current.sql", *[f"{one.version:04d}_{one.name}.sql" for one in found]}


def test_every_statement_may_run_twice() -> None:
    for migration in migrations():
        for statement in migration.statements:
            assert "IF NOT EXISTS" in statement or "IF EXISTS" in statement, statement


def test_no_text_in_a_statement_holds_what_separates_statements() -> None:
    """They are cut at semicolons and comments at two hyphens, wherever these stand."""
    for migration in migrations():
        for statement in migration.statements:
            assert statement.count("'") % 2 == 0, statement
            assert statement.count("(") == statement.count(")"), statement


def test_a_place_in_the_log_is_part_of_every_row() -> None:
    assert EVENT_COLUMNS[-3:] == ("log_partition", "log_offset", "log_index")
