"""The fault suite itself, short: half a minute of load and faults on each form. `make chaos` runs it at length."""

from pathlib import Path

import pytest

from tests.chaos.options import FORMS, Options
from tests.chaos.run import run
from tests.support.fixtures import unavailable
from tests.support.services import ServiceUnavailable

pytestmark = pytest.mark.services


@pytest.mark.parametrize("form", FORMS)
def test_what_is_acknowledged_is_there_once_after_random_faults(form: str, tmp_path: Path) -> None:
    options = Options(
        form,
        seed="short",
        minutes=0.3,
        rate=1000,
        projects=2,
        consumers=2,
        fault_every_seconds=1,
        longest_pause_seconds=3,
        exit_seconds=20,  # the machine may be busy with other tests
        directory=tmp_path,
    )
    try:
        report = run(options, print)
    except ServiceUnavailable as missing:
        unavailable(str(missing))
    assert report.ok, report.text()
    assert report.acknowledged > 100, report.text()
