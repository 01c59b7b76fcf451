"""A control topic that is followed in the same moment, for tests of what stands on it."""

from dataclasses import dataclass, field

from penstock.errors import LogUnavailable
from penstock.registry import Registry
from query_api.registrar import Registrar
from schemas.registry import Registered, encode_registered, registry_key
from schemas.topics import Topic


@dataclass
class InstantControl:
    """The log and the follower of a registry in one; see `query_api.registrar`."""

    registry: Registry = field(default_factory=Registry)
    failure: LogUnavailable | None = None
    published: list[tuple[str, bytes | None]] = field(default_factory=list)

    def publish(self, topic: Topic, key: str, value: bytes | None) -> int:
        """Applies the record at once."""
        assert topic is Topic.CONTROL
        if self.failure:
            raise self.failure
        self.published.append((key, value))
        self.registry.apply(key, value, len(self.published) - 1)
        return len(self.published) - 1

    def put(self, *registered: Registered) -> None:
        """Publishes what another process would."""
        for one in registered:
            self.publish(Topic.CONTROL, registry_key(one), encode_registered(one))

    def publish_removal(self, registered: Registered) -> None:
        """What another process removes."""
        self.publish(Topic.CONTROL, registry_key(registered), None)

    def sync(self) -> None:
        """All is applied."""
        if self.failure:
            raise self.failure

    def wait_for(self, offset: int) -> None:
        """All is applied."""
        assert offset < len(self.published)

    def registrar(self) -> Registrar:
        """To be called on the loop that uses it."""
        return Registrar(self, self, self.registry)
