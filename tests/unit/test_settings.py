"""Settings: where they come from, and what is said of wrong ones."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from penstock.clickhouse.server import open_server
from penstock.errors import StartError
from penstock.settings import (
    CONFIG_VARIABLE,
    PREFIX,
    ClickHouse,
    Ingest,
    Kafka,
    Settings,
    effective,
    load,
    unknown_variables,
    variables,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this machine's settings counts here."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Sets variables; the names go without the prefix."""
    for name, value in variables.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)


def complaints() -> list[str]:
    """What `load` says is wrong, names that are not known among it, one line a setting."""
    with pytest.raises(StartError) as failed:
        load(only_known=True)
    first, *lines = str(failed.value).splitlines()
    assert first == "The settings are not valid:"
    return [line.strip() for line in lines]


def test_nothing_need_be_set() -> None:
    settings = load()
    assert settings.data_dir == Path("penstock-data")
    assert settings.ingest == Ingest(
        max_event_bytes=65_536, max_batch_bytes=5_242_880, max_batch_events=1000, max_pending_bytes=67_108_864
    )
    assert (settings.kafka.bootstrap_servers, settings.clickhouse.url) == ("", "")


def test_variables_set_them_nested_by_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        DATA_DIR="/data",
        KAFKA__LINGER_MS="2.5",
        KAFKA__SASL_PASSWORD="secret",
        LOG__ACCESS="true",
        QUERY__CORS_ORIGINS='["https://a.example"]',
    )
    settings = load()
    assert settings.data_dir == Path("/data")
    assert (settings.kafka.linger_ms, settings.kafka.partitions) == (2.5, 4)
    assert settings.kafka.sasl_password.get_secret_value() == "secret"
    assert settings.log.access is True
    assert settings.query.cors_origins == ["https://a.example"]


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        KAFKA__LINGER_MS="soon",
        KAFKA__PARTITIONS="0",
        LOG__LEVEL="loud",
        INGEST__MAX_EVENT_BYTES="",
        CLICKHOUSE__DATABASE="a-b",
        QUERY__CORS_ORIGINS="https://a.example",
        KAFKA__DELIVERY_TIMEOUT_SECONDS="inf",
        KAFKA__LINGER="5",
        NONSENSE="1",
    )
    assert [line.partition(":")[0].removeprefix(PREFIX) for line in complaints()] == [
        "CLICKHOUSE__DATABASE",
        "INGEST__MAX_EVENT_BYTES",
        "KAFKA__DELIVERY_TIMEOUT_SECONDS",
        "KAFKA__LINGER",
        "KAFKA__LINGER_MS",
        "KAFKA__PARTITIONS",
        "LOG__LEVEL",
        "NONSENSE",
        "QUERY__CORS_ORIGINS",
    ]


def test_a_wrong_item_of_a_list_is_one_of_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, WEBHOOKS__ALLOWED_ADDRESSES='["10.0.0.0/8", "10.0.0.1/8"]', WEBHOOKS__ALLOWED_PORTS="[443, 0]")
    assert complaints() == [
        "PENSTOCK_WEBHOOKS__ALLOWED_ADDRESSES: value is not a valid IPv4 or IPv6 network",
        "PENSTOCK_WEBHOOKS__ALLOWED_PORTS: Input should be greater than or equal to 1",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "KAFKA",
        "KAFKA__",
        "KAFKA__PARTITIONS__X",
        "DATADIR",
        "KAFKA_PARTITIONS",
        "TESTING",
        "TEST",
        "CONFIG__X",
        "CONFIG_",
        "",
    ],
)
def test_a_variable_that_is_no_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given(monkeypatch, **{name: "{}"})
    assert [line for line in complaints() if line.startswith(f"{PREFIX}{name}: no such setting")]


@pytest.mark.parametrize("name", ["KAFKA", "KAFKA__LINGER", "KAFKA__PARTITIONS__X", "WORKFLOWS__X", "NONSENSE"])
def test_a_variable_that_is_no_setting_is_none_of_our_business_where_known_ones_are_not_required(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given(monkeypatch, **{name: "5"}, KAFKA__LINGER_MS="7")
    assert load().kafka == Kafka(linger_ms=7)


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("KAFKA__LINGER", "KAFKA__LINGER_MS"),
        ("KAFKA_PARTITIONS", "KAFKA__PARTITIONS"),
        ("DATADIR", "DATA_DIR"),
        ("NONSENSE", ""),
        ("WORKFLOWS__X", ""),
        ("IMAGE", ""),
    ],
)
def test_the_setting_that_may_be_meant_is_named(name: str, similar: str) -> None:
    assert unknown_variables({f"{PREFIX}{name}": ""}) == {f"{PREFIX}{name}": similar and f"{PREFIX}{similar}"}


def test_the_case_of_a_name_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("penstock_kafka__partitions", "3")
    assert load().kafka.partitions == 3
    monkeypatch.setenv("penstock_kafka__partition", "3")
    assert complaints() == ["PENSTOCK_KAFKA__PARTITION: no such setting (is PENSTOCK_KAFKA__PARTITIONS meant?)"]


@pytest.mark.parametrize("name", ["TEST_CLICKHOUSE_URL", "TESTS_X"])
def test_the_variables_of_the_test_suite_are_no_settings_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given(monkeypatch, **{name: "http://127.0.0.1"})
    assert load() == Settings()


def test_a_variable_that_is_no_json_where_a_group_was_meant_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, KAFKA="localhost:9092", LOG="5")
    assert complaints() == ["PENSTOCK_KAFKA: no such setting", "PENSTOCK_LOG: no such setting"]


# --- the file ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "penstock.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    return path


def test_a_file_sets_them_and_the_environment_goes_before_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        'data_dir = "/from/file"\n[kafka]\npartitions = 12\nlinger_ms = 9\n[query]\ncors_origins = ["https://é.example"]\n'
    )
    given(monkeypatch, KAFKA__LINGER_MS="1")
    settings = load()
    assert settings.data_dir == Path("/from/file")
    assert (settings.kafka.partitions, settings.kafka.linger_ms) == (12, 1)
    assert settings.query.cors_origins == ["https://é.example"]


def test_every_wrong_setting_of_file_and_environment_is_named_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("nonsense = 1\nlog = 5\n[kafka]\npartitions = 'many'\nunknown = 1\n")
    given(monkeypatch, INGEST__MAX_BATCH_EVENTS="none")
    assert [line.partition(":")[0].removeprefix(PREFIX) for line in complaints()] == [
        "INGEST__MAX_BATCH_EVENTS",
        "KAFKA__PARTITIONS",
        "KAFKA__UNKNOWN",
        "LOG",
        "NONSENSE",
    ]


@pytest.mark.parametrize("content", [b"not toml", b"[kafka", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_named(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StartError, match="is not TOML"):
        load()


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(StartError, match=r"penstock\.toml cannot be read: No such file"):
        load()
    file.mkdir()
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        load()


# --- what is shown -----------------------------------------------------------------------------------------------------


def test_secrets_are_shown_as_set_or_not_set_and_never_themselves() -> None:
    settings = Settings(clickhouse=ClickHouse(password=SecretStr("hunter2")))
    shown = effective(settings)
    assert shown["PENSTOCK_CLICKHOUSE__PASSWORD"] == "set"
    assert shown["PENSTOCK_KAFKA__SASL_PASSWORD"] == "not set"
    assert "hunter2" not in f"{shown}{settings}{settings!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8123", "http://host:8123"),
        ("http://ada@host:8123", "http://ada@host:8123"),
        ("https://ada:hunter2@host:8123", "https://ada:***@host:8123"),
        ("https://ada:hunter2@with@signs/@host", "https://ada:***@host"),
        ("https://:hunter2@host", "https://:***@host"),
        ("ada:hunter2@host:8123", "ada:***@host:8123"),
        ("", ""),
    ],
)
def test_of_a_url_all_is_shown_but_its_password(url: str, shown: str) -> None:
    assert effective(Settings(clickhouse=ClickHouse(url=url)))["PENSTOCK_CLICKHOUSE__URL"] == shown


def test_a_list_is_shown_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {
        "WEBHOOKS__ALLOWED_ADDRESSES": '["10.0.0.0/8","fd00::/8"]',
        "WEBHOOKS__ALLOWED_PORTS": "[443,8443]",
        "QUERY__CORS_ORIGINS": '["https://é.example"]',
    }
    given(monkeypatch, **lists)
    shown = effective(load())
    assert {name: shown[f"{PREFIX}{name}"] for name in lists} == lists


def test_a_url_that_is_none_is_named_without_its_password() -> None:
    with pytest.raises(StartError, match=r"'ada:\*\*\*@host:8123'; it must look like"):
        open_server(ClickHouse(url="ada:hunter2@host:8123"))


def test_what_is_shown_are_all_settings_by_their_variables() -> None:
    assert list(effective(Settings())) == list(variables())


def test_a_wrong_value_of_a_secret_is_not_repeated(file: Path) -> None:
    file.write_text("[clickhouse]\npassword = ['hunter2']\n[kafka]\nsasl_password = 123456789\n")
    text = "\n".join(complaints())
    assert "CLICKHOUSE__PASSWORD" in text
    assert "KAFKA__SASL_PASSWORD" in text
    assert "hunter2" not in text
    assert "123456789" not in text


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, "data_dir", Path("/elsewhere"))  # noqa: B010 - mypy knows that it cannot be set
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings.kafka, "partitions", 5)  # noqa: B010
