"""The settings: one frozen tree, from the environment (`PENSTOCK_KAFKA__LINGER_MS`) or a TOML file.

Nothing is read at import. `load` reads once; commands pass the groups down.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from penstock.errors import StartError

PREFIX = "PENSTOCK_"
KIB = 1024
MIB = 1024 * KIB


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Kafka(_Group):
    """The scaled-out form's log."""

    bootstrap_servers: str = Field("", description="host:port, comma-separated. Empty: the embedded log.")
    topic_prefix: str = Field("penstock", pattern=r"^[A-Za-z0-9._-]+$", description="Topics are <prefix>.events, …")
    partitions: int = Field(4, ge=1, le=1024, description="Of the events topic; fixed once it is made.")
    replication_factor: int = Field(1, ge=1, description="Of new topics; 3 in production, with min.insync.replicas=2.")
    linger_ms: float = Field(8, ge=0, le=1000, description="How long events wait to share a record.")
    delivery_timeout_seconds: float = Field(10, gt=0, description="When an unconfirmed write answers 503.")
    group: str = Field("penstock-writer", description="Consumer group of the writers.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: str = Field("", description="CA file for TLS; empty: the system's.")


class ClickHouse(_Group):
    """The scaled-out form's tables."""

    url: str = Field("", description="http(s)://host:port. Empty: the embedded engine.")
    database: str = Field("penstock", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    username: str = "default"
    password: SecretStr = SecretStr("")
    connect_timeout_seconds: float = Field(5, gt=0)
    query_timeout_seconds: float = Field(30, gt=0, description="Of a read.")
    insert_timeout_seconds: float = Field(60, gt=0, description="Of an insert.")


class Ingest(_Group):
    """The limits of what is taken in."""

    max_event_bytes: int = Field(64 * KIB, ge=KIB, description="Decompressed, of one event.")
    max_batch_bytes: int = Field(5 * MIB, ge=KIB, description="Decompressed, of one batch.")
    max_batch_events: int = Field(1000, ge=1)
    max_pending_bytes: int = Field(64 * MIB, ge=MIB, description="What may wait, and what may arrive; over it: 503.")


class Writer(_Group):
    """From the log to the tables."""

    max_rows: int = Field(50_000, ge=1, le=1_000_000, description="Of one insert, below ClickHouse's block size.")
    max_bytes: int = Field(16 * MIB, ge=64 * KIB, description="Of one insert.")
    parallel_inserts: int = Field(4, ge=1, le=64, description="Inserts side by side, of one partition each.")
    flush_after_seconds: float = Field(0.15, ge=0, le=10, description="The least time between two inserts.")
    heartbeat_seconds: float = Field(1.0, gt=0, le=60, description="How often an idle writer says that it lives.")
    max_dead_letter_share: float = Field(0.5, gt=0, le=1, description="Over it the writer stops, see docs.")


class Query(_Group):
    """Reads."""

    threads: int = Field(4, ge=1, le=64, description="Reads at the same time, one ClickHouse client each.")
    after_position_seconds: float = Field(5, gt=0, le=60, description="How long a read waits for X-After-Position.")
    cors_origins: list[str] = Field(default_factory=list, description="Origins that may read from a browser.")


class Serving(_Group):
    """How `ingest` and `query` are reached."""

    at_one_address: bool = Field(
        False, description="A balancer sends both their requests: the OpenAPI document of query has the routes of both."
    )
    drain_seconds: float = Field(
        0, ge=0, le=3, description="How long SIGTERM leaves them serving while /readyz fails, so that others are asked."
    )


class Limits(_Group):
    """What one project may ask of one process."""

    writes_per_second: float = Field(0, ge=0, description="Events, also those of batches; over it: 429. 0: no limit.")
    reads_per_second: float = Field(0, ge=0, description="Requests; over it: 429. 0: no limit.")
    burst_seconds: float = Field(10, gt=0, le=86_400, description="How many seconds' worth may come at once.")


class Sns(_Group):
    """Amazon SES events through Amazon SNS."""

    certificate_hosts: list[str] = Field(
        default_factory=list, description="Further hosts (host or host:port) of certificates and confirmations."
    )
    ca_file: str = Field("", description="PEM file of the authorities to trust; empty: the public ones.")


class Webhooks(_Group):
    """What is sent to the endpoints of workflows."""

    allowed_addresses: list[IPvAnyNetwork] = Field(
        default_factory=list, description="Networks that may be reached although they are not public (JSON list)."
    )
    allowed_ports: list[Annotated[int, Field(ge=1, le=65_535)]] = Field(
        default_factory=list, description="The only ports of endpoints; empty: any."
    )
    timeout_seconds: float = Field(15, gt=0, le=120, description="Of an attempt, the answer included.")
    max_connections: int = Field(256, ge=2, le=10_000, description="Attempts at the same time, of all endpoints.")
    per_endpoint: int = Field(64, ge=1, le=1000, description="Attempts at the same time, of one endpoint.")
    ca_file: str = Field("", description="PEM file of the authorities to trust; empty: the public ones.")


class Log(_Group):
    """What the process says of itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON.")
    access: bool = Field(False, description="One line per request; errors are logged in any case.")


class _Environment(EnvSettingsSource):
    """The environment, as far as it is settings; a list that is not JSON is reported as a wrong value beside others."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        known = set(variables())  # else a part of a group that does not know it would be an error of the group
        self.env_vars = {name: value for name, value in self.env_vars.items() if name.upper() in known}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """See pydantic-settings."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """All settings, and their defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path("penstock-data"), description="Where the embedded form keeps everything.")
    kafka: Kafka = Field(default_factory=Kafka)
    clickhouse: ClickHouse = Field(default_factory=ClickHouse)
    ingest: Ingest = Field(default_factory=Ingest)
    writer: Writer = Field(default_factory=Writer)
    query: Query = Field(default_factory=Query)
    serving: Serving = Field(default_factory=Serving)
    limits: Limits = Field(default_factory=Limits)
    sns: Sns = Field(default_factory=Sns)
    webhooks: Webhooks = Field(default_factory=Webhooks)
    log: Log = Field(default_factory=Log)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes in as init values."""
        return _Environment(settings_cls), init_settings


CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Names the settings file; `--config` sets it, so that worker processes find the same one."""

_PASSWORD = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*://|(?![^/@]*://))[^/:@]*):.*@")

_SIMILAR = 0.75
"""How similar two names must be, from 0 to 1, to take one for a slip of the other."""

_OF_THE_TESTS = (f"{PREFIX}TEST_", f"{PREFIX}TESTS_")
"""Variables of the test suite (docs/testing.md); a product that is started by it inherits them."""


def variables(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """The names of all environment variables that are settings."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Group):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def _from_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"The settings file {path} is not TOML: {error}.") from error


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, in upper case, that look like settings and are none, each with a setting of a similar name or "".

    Case does not count for settings.
    """
    known = [*variables(), CONFIG_VARIABLE]
    unknown = {
        upper
        for upper in map(str.upper, environ)
        if upper.startswith(PREFIX) and upper not in known and not upper.startswith(_OF_THE_TESTS)
    }
    return {name: _similar(name, known) for name in sorted(unknown)}


def _similar(name: str, known: list[str]) -> str:
    """Compared without the prefix, which would make all of them similar."""
    bare = {one.removeprefix(PREFIX): one for one in known}
    found = get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=_SIMILAR)
    return bare[found[0]] if found else ""


def _problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    for problem in error.errors(include_url=False, include_input=False):
        path = "__".join(part.upper() for part in problem["loc"] if isinstance(part, str))  # not a place in a list
        yield f"{PREFIX}{path}", problem["msg"]


def load(*, only_known: bool = False) -> Settings:
    """The effective settings.

    Args:
        only_known: refuses variables that are no settings (see `unknown_variables`). Else they are left to whom they
            belong: another version's settings must not keep this one from starting.

    Raises:
        StartError: names every setting that is wrong, and everything in the file that is none.
    """
    unknown = unknown_variables(os.environ) if only_known else {}
    problems = {name: f"no such setting{hint(similar)}" for name, similar in unknown.items()}
    file = os.environ.get(CONFIG_VARIABLE)
    values = _from_file(file) if file else {}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems = dict(_problems(error)) | problems
    except SettingsError as error:
        raise StartError(f"The settings are not valid: {error}.") from error
    if problems:
        lines = [f"  {name}: {problem}" for name, problem in sorted(problems.items())]
        raise StartError("\n".join(["The settings are not valid:", *lines]))
    return settings


def hint(similar: str) -> str:
    """What to say behind an unknown name where there is a similar one."""
    return f" (is {similar} meant?)" if similar else ""


def effective(settings: BaseModel, prefix: str = PREFIX) -> dict[str, str]:
    """Every setting by its variable's name; a secret says only whether it is set, a URL not its password."""
    shown: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        key = f"{prefix}{name.upper()}"
        if isinstance(value, _Group):
            shown |= effective(value, f"{key}__")
        elif isinstance(value, SecretStr):
            shown[key] = "set" if value.get_secret_value() else "not set"
        elif isinstance(value, list):
            shown[key] = to_json(value).decode()
        else:
            shown[key] = without_password(str(value))
    return shown


def without_password(text: str) -> str:
    """A URL, or what was meant to be one, as it may be shown."""
    return _PASSWORD.sub(r"\1:***@", text)
