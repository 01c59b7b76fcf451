-- Today's tables. Made from the migrations by `python -m penstock.clickhouse.current`; nothing reads it.

CREATE TABLE derived_ids
(
    `id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64
)
ENGINE = MergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

CREATE TABLE event_hours
(
    `project_id` UUID,
    `hour` DateTime('UTC'),
    `name` LowCardinality(String),
    `count` Int64
)
ENGINE = SummingMergeTree
ORDER BY (project_id, hour, name)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE event_names
(
    `project_id` UUID,
    `name` String,
    `count` Int64
)
ENGINE = SummingMergeTree
ORDER BY (project_id, name)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE event_seconds
(
    `project_id` UUID,
    `second` DateTime('UTC'),
    `name` LowCardinality(String),
    `count` Int64
)
ENGINE = SummingMergeTree
ORDER BY (project_id, second, name)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE events
(
    `project_id` UUID,
    `occurred_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `id` UUID,
    `name` LowCardinality(String),
    `contact_id` UUID,
    `email` String CODEC(ZSTD(1)),
    `email_id` String CODEC(ZSTD(1)),
    `data` String CODEC(ZSTD(1)),
    `subscribed` Nullable(Bool),
    `derived` Bool,
    `received_at` DateTime64(3, 'UTC') DEFAULT occurred_at CODEC(Delta(8), ZSTD(1)),
    `log_partition` UInt16,
    `log_offset` UInt64 CODEC(Delta(8), ZSTD(1)),
    `log_index` UInt32 CODEC(Delta(4), ZSTD(1)),
    `stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (project_id, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE events_by_contact
(
    `project_id` UUID,
    `contact_id` UUID,
    `occurred_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `id` UUID,
    `name` LowCardinality(String),
    `email_id` String CODEC(ZSTD(1)),
    `data` String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (project_id, contact_id, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE TABLE events_by_name
(
    `project_id` UUID,
    `name` LowCardinality(String),
    `occurred_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `id` UUID,
    `contact_id` UUID,
    `email` String CODEC(ZSTD(1)),
    `email_id` String CODEC(ZSTD(1)),
    `data` String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (project_id, name, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE events_probe
(
    `project_id` UUID,
    `occurred_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `id` UUID,
    `name` LowCardinality(String),
    `contact_id` UUID,
    `email` String CODEC(ZSTD(1)),
    `email_id` String CODEC(ZSTD(1)),
    `data` String CODEC(ZSTD(1)),
    `subscribed` Nullable(Bool),
    `derived` Bool,
    `received_at` DateTime64(3, 'UTC') DEFAULT occurred_at CODEC(Delta(8), ZSTD(1)),
    `log_partition` UInt16,
    `log_offset` UInt64 CODEC(Delta(8), ZSTD(1)),
    `log_index` UInt32 CODEC(Delta(4), ZSTD(1)),
    `stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1))
)
ENGINE = `Null`;

CREATE TABLE schema_migrations
(
    `version` UInt32,
    `name` String,
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY version
SETTINGS index_granularity = 8192;

CREATE TABLE writer_claims
(
    `generation` UInt32,
    `log_partition` UInt16,
    `epoch` UInt64,
    `owner` String,
    `claimed_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(epoch)
ORDER BY (generation, log_partition)
SETTINGS index_granularity = 8192;

CREATE TABLE writer_progress
(
    `generation` UInt32,
    `log_partition` UInt16,
    `epoch` UInt64,
    `sequence` UInt64,
    `stored_through` Int64,
    `pending_first` Int64,
    `pending_last` Int64,
    `caught_up` Bool,
    `complete_at` DateTime64(3, 'UTC'),
    `written_at` DateTime64(3, 'UTC'),
    `version` UInt128 MATERIALIZED bitOr(bitShiftLeft(toUInt128(epoch), 64), toUInt128(sequence))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (generation, log_partition)
SETTINGS index_granularity = 8192;

CREATE MATERIALIZED VIEW derived_ids_view TO derived_ids
(
    `id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64
)
AS SELECT
    id,
    log_partition,
    log_offset
FROM events
WHERE derived;

CREATE MATERIALIZED VIEW event_hours_view TO event_hours
(
    `project_id` UUID,
    `hour` DateTime('UTC'),
    `name` LowCardinality(String),
    `count` UInt64
)
AS SELECT
    project_id,
    toStartOfHour(occurred_at) AS hour,
    name,
    count() AS count
FROM events
GROUP BY
    project_id,
    hour,
    name;

CREATE MATERIALIZED VIEW event_names_view TO event_names
(
    `project_id` UUID,
    `name` LowCardinality(String),
    `count` UInt64
)
AS SELECT
    project_id,
    name,
    count() AS count
FROM events
GROUP BY
    project_id,
    name;

CREATE MATERIALIZED VIEW event_seconds_view TO event_seconds
(
    `project_id` UUID,
    `second` DateTime64(3, 'UTC'),
    `name` LowCardinality(String),
    `count` UInt64
)
AS SELECT
    project_id,
    toStartOfSecond(occurred_at) AS second,
    name,
    count() AS count
FROM events
GROUP BY
    project_id,
    second,
    name;

CREATE MATERIALIZED VIEW events_by_contact_view TO events_by_contact
(
    `project_id` UUID,
    `contact_id` UUID,
    `occurred_at` DateTime64(3, 'UTC'),
    `id` UUID,
    `name` LowCardinality(String),
    `email_id` String,
    `data` String
)
AS SELECT
    project_id,
    contact_id,
    occurred_at,
    id,
    name,
    email_id,
    data
FROM events;

CREATE MATERIALIZED VIEW events_by_name_view TO events_by_name
(
    `project_id` UUID,
    `name` LowCardinality(String),
    `occurred_at` DateTime64(3, 'UTC'),
    `id` UUID,
    `contact_id` UUID,
    `email` String,
    `email_id` String,
    `data` String
)
AS SELECT
    project_id,
    name,
    occurred_at,
    id,
    contact_id,
    email,
    email_id,
    data
FROM events;
