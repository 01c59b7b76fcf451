"""The parameters of a statement that is being written."""

from collections.abc import Sequence

from penstock.clickhouse.contract import Parameter


class Bound:
    """Each method binds a value and returns what stands for it in the text. Equal values share a parameter."""

    def __init__(self) -> None:
        self.values: dict[str, Parameter] = {}
        self._names: dict[tuple[str, object], str] = {}

    def text(self, value: str) -> str:
        """A string."""
        return self._bind("String", value, value)

    def integer(self, value: int) -> str:
        """A whole number of 64 bits."""
        return self._bind("Int64", value, value)

    def number(self, value: float) -> str:
        """A double."""
        return f"toFloat64({self.text(repr(value))})"

    def uuid(self, value: str) -> str:
        """A UUID."""
        return self._bind("UUID", value, value)

    def texts(self, values: Sequence[str], kind: str = "String") -> str:
        """An array of strings, or of what ClickHouse makes of them."""
        return self._bind(f"Array({kind})", tuple(values), list(values))

    def _bind(self, kind: str, key: object, value: Parameter) -> str:
        name = self._names.setdefault((kind, key), f"condition_{len(self._names)}")
        self.values[name] = value
        return f"{{{name}:{kind}}}"
