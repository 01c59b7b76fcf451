"""`.env.example` says what the settings are: nothing is missing there, nothing is made up, and the defaults are right."""

import os
import re
from pathlib import Path

import pytest

from penstock.settings import CONFIG_VARIABLE, PREFIX, Settings, load, variables

FILE = Path(__file__).parents[2] / ".env.example"
LINES = FILE.read_text(encoding="utf-8").splitlines()
FOUND = {match[1]: match[2] for line in LINES if (match := re.fullmatch(r"# (PENSTOCK_\w+)=(.*)", line))}


def test_it_names_every_setting_and_nothing_else() -> None:
    assert list(FOUND) == [CONFIG_VARIABLE, *variables()]


def test_its_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)
    defaults = Settings()
    for name, value in FOUND.items():
        monkeypatch.setenv(name, value)
    assert load() == defaults


@pytest.mark.parametrize("name", list(FOUND))
def test_every_setting_is_explained_above_it(name: str) -> None:
    above = LINES[LINES.index(f"# {name}={FOUND[name]}") - 1]
    assert re.fullmatch(r"# [^-\s].*\S[.)]", above), above


def test_nothing_in_it_is_in_force_before_it_is_uncommented() -> None:
    assert not [line for line in LINES if line and not line.startswith("#")]
