"""Progress is for people: on a terminal, and nowhere else."""

import sys

import pytest

from penstock.commands.watching import watching


def test_lines_replace_each_other_on_a_terminal_and_the_last_one_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with watching() as report:
        report("one")
        report("two")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.replace("\x1b[2K", "").split("\r") == ["", "one", "two", ""]


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with watching() as report:
        report("one")
    assert capsys.readouterr() == ("", "")
