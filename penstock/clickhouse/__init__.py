"""The tables: one contract, two drivers (chDB, a ClickHouse server), one conformance suite."""

from penstock.clickhouse.contract import Selectable, Tables

__all__ = ["Selectable", "Tables"]
