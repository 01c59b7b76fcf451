"""The tables on a ClickHouse server, over HTTP."""

from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httputil import get_pool_manager

from penstock.clickhouse.gateway import ClientTables
from penstock.errors import StartError
from penstock.settings import ClickHouse, without_password

_PORTS = {"http": 8123, "https": 8443}


def open_server(settings: ClickHouse, *, only_reads: bool = False) -> ClientTables:
    """The tables on the server at `settings.url`; nothing is connected yet.

    Args:
        only_reads: nobody waits for an answer longer than a read may take.

    Raises:
        StartError: the URL is none.
    """
    url = urlsplit(settings.url)
    if url.scheme not in _PORTS or not url.hostname:
        shown = without_password(settings.url)
        raise StartError(f"PENSTOCK_CLICKHOUSE__URL is {shown!r}; it must look like http://host:8123.")
    host, port, secure = url.hostname, url.port or _PORTS[url.scheme], url.scheme == "https"
    pool = get_pool_manager(maxsize=32)
    longest_seconds = settings.query_timeout_seconds
    if not only_reads:
        longest_seconds = max(longest_seconds, settings.insert_timeout_seconds)

    def connect(database: str | None) -> Client:
        return clickhouse_connect.get_client(
            host=host,
            port=port,
            secure=secure,
            username=settings.username,
            password=settings.password.get_secret_value(),
            database=database or "default",
            connect_timeout=settings.connect_timeout_seconds,
            send_receive_timeout=longest_seconds,
            query_retries=0,  # who calls decides: a repeated insert needs its token
            autogenerate_session_id=False,  # a session would serialise its queries
            pool_mgr=pool,
        )

    return ClientTables(connect, settings.database)
