"""The fixtures of the consumers' suites."""

from tests.support.fixtures import bridge, broker, tables

__all__ = ["bridge", "broker", "tables"]
