"""The tables: one contract, two drivers (chDB, a ClickHouse server), one conformance suite."""

from penstock.clickhouse.contract import Tables

__all__ = ["Tables"]
