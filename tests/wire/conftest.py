"""The ingest application, ready for requests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.requests import Api, serving


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:
    """The application over an empty log, with one project that it knows."""
    async with serving(tmp_path) as made:
        yield made
