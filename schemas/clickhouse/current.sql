-- Today's tables. Made from the migrations by `python -m penstock.clickhouse.current`; nothing reads it.

CREATE TABLE batches
(
    `log_partition` UInt16,
    `last_offset` UInt64 CODEC(Delta(8), ZSTD(1)),
    `first_offset` UInt64 CODEC(Delta(8), ZSTD(1)),
    `epoch` UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(epoch)
ORDER BY (log_partition, last_offset, first_offset)
SETTINGS index_granularity = 1024;

CREATE TABLE dead_letters
(
    `project_id` UUID,
    `id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` Int64,
    `name` String,
    `contact_id` UUID,
    `received_at` DateTime64(3, 'UTC'),
    `reason` String,
    `dead_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (project_id, id, log_partition, log_offset, log_index)
SETTINGS index_granularity = 8192;

CREATE TABLE deletions
(
    `id` UUID,
    `project_id` UUID,
    `name` String,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `events` UInt64,
    `counted_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (id, log_partition)
SETTINGS index_granularity = 8192;

CREATE TABLE derived_ids
(
    `id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `project_id` UUID,
    `occurred_at` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

CREATE TABLE event_counts
(
    `project_id` UUID,
    `unit_seconds` UInt32,
    `start` DateTime('UTC'),
    `name` LowCardinality(String),
    `log_partition` UInt16,
    `last_offset` SimpleAggregateFunction(max, UInt64),
    `count` UInt64
)
ENGINE = SummingMergeTree(count)
ORDER BY (project_id, unit_seconds, start, name, log_partition)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512, min_compress_block_size = 4096, max_compress_block_size = 16384, merge_selector_base = 2;

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
    `stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX by_offset log_offset TYPE minmax GRANULARITY 1,
    INDEX by_receipt received_at TYPE minmax GRANULARITY 1
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
    `data` String CODEC(ZSTD(1)),
    `log_partition` UInt16,
    `log_offset` UInt64 CODEC(Delta(8), ZSTD(1))
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
    `data` String CODEC(ZSTD(1)),
    `log_partition` UInt16,
    `log_offset` UInt64 CODEC(Delta(8), ZSTD(1))
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

CREATE TABLE generations
(
    `sequence` UInt64,
    `live` UInt32,
    `held_until` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY sequence
SETTINGS index_granularity = 8192;

CREATE TABLE late_ids
(
    `id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `project_id` UUID,
    `occurred_at` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

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
    `log_partition` UInt16,
    `epoch` UInt64,
    `owner` String,
    `claimed_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(epoch)
ORDER BY log_partition
SETTINGS index_granularity = 8192;

CREATE TABLE writer_progress
(
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
ORDER BY log_partition
SETTINGS index_granularity = 8192;

CREATE MATERIALIZED VIEW batches_view TO batches
(
    `log_partition` UInt16,
    `last_offset` UInt64,
    `first_offset` UInt64,
    `epoch` UInt64
)
AS SELECT
    log_partition,
    toUInt64(pending_last) AS last_offset,
    toUInt64(pending_first) AS first_offset,
    epoch
FROM writer_progress
WHERE pending_first >= 0;

CREATE MATERIALIZED VIEW event_counts_view TO event_counts
(
    `project_id` UUID,
    `unit_seconds` UInt32,
    `start` DateTime('UTC'),
    `name` LowCardinality(String),
    `log_partition` UInt16,
    `last_offset` UInt64,
    `count` UInt64
)
AS SELECT
    project_id,
    unit_seconds,
    if(unit_seconds = 0, toDateTime(0, 'UTC'), toDateTime(intDiv(minute * 60, unit_seconds) * unit_seconds, 'UTC')) AS start,
    name,
    log_partition,
    max(last) AS last_offset,
    sum(events) AS count
FROM
(
    SELECT
        project_id,
        intDiv(toUInt32(toDateTime(occurred_at, 'UTC')), 60) AS minute,
        name,
        log_partition,
        max(log_offset) AS last,
        count() AS events
    FROM events
    GROUP BY
        project_id,
        minute,
        name,
        log_partition
)
ARRAY JOIN [0, 86400, 3600, 60] AS unit_seconds
GROUP BY
    project_id,
    unit_seconds,
    start,
    name,
    log_partition;

CREATE MATERIALIZED VIEW events_by_contact_view TO events_by_contact
(
    `project_id` UUID,
    `contact_id` UUID,
    `occurred_at` DateTime64(3, 'UTC'),
    `id` UUID,
    `name` LowCardinality(String),
    `email_id` String,
    `data` String,
    `log_partition` UInt16,
    `log_offset` UInt64
)
AS SELECT
    project_id,
    contact_id,
    occurred_at,
    id,
    name,
    email_id,
    data,
    log_partition,
    log_offset
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
    `data` String,
    `log_partition` UInt16,
    `log_offset` UInt64
)
AS SELECT
    project_id,
    name,
    occurred_at,
    id,
    contact_id,
    email,
    email_id,
    data,
    log_partition,
    log_offset
FROM events;
