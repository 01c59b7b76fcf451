"""The event log: one contract, two drivers (SQLite, Kafka), one conformance suite (tests/contract/test_eventlog.py)."""

from penstock.eventlog.contract import Entry, EventLog, LogTail, StoredRecord

__all__ = ["Entry", "EventLog", "LogTail", "StoredRecord"]
