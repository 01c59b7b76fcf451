"""The fixtures of the gateways' suites."""

from tests.support.fixtures import broker, clickhouse, tables

__all__ = ["broker", "clickhouse", "tables"]
