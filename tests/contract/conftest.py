"""The fixtures of the gateways' suites."""

from tests.support.fixtures import bridge, broker, tables

__all__ = ["bridge", "broker", "tables"]
