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

CREATE TABLE contact_changes
(
    `log_partition` UInt16,
    `log_offset` UInt64,
    `project_id` UUID,
    `contact_id` UUID,
    `email` String
)
ENGINE = MergeTree
ORDER BY (log_partition, log_offset)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE TABLE contact_facts
(
    `project_id` UUID,
    `contact_id` UUID,
    `email` String,
    `occurred_at` DateTime64(3, 'UTC'),
    `subscribed` Nullable(Bool),
    `data` String,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` UInt32,
    `is_change` Bool DEFAULT false
)
ENGINE = `Null`;

CREATE TABLE contacts
(
    `project_id` UUID,
    `email` String CODEC(ZSTD(1)),
    `shape` UInt64 CODEC(ZSTD(1)),
    `contact_id` SimpleAggregateFunction(any, UUID),
    `log_partition` SimpleAggregateFunction(any, UInt16),
    `first_offset` SimpleAggregateFunction(min, UInt64) CODEC(ZSTD(1)),
    `last_offset` SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    `created_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    `subscription` SimpleAggregateFunction(max, UInt128) CODEC(ZSTD(1)),
    `version` SimpleAggregateFunction(max, UInt128) CODEC(ZSTD(1)),
    `data` AggregateFunction(argMax, String, UInt128) CODEC(ZSTD(1)),
    INDEX by_id contact_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, email, shape)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

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

CREATE TABLE deliveries
(
    `project_id` UUID,
    `workflow_id` UUID,
    `created_at` DateTime64(3, 'UTC'),
    `id` UUID,
    `event_id` UUID,
    `occurred_at` DateTime64(3, 'UTC'),
    `log_partition` UInt16,
    `status` LowCardinality(String),
    `attempts` UInt32,
    `last_status_code` UInt16,
    `last_error` String CODEC(ZSTD(1)),
    `next_attempt_at` DateTime64(3, 'UTC'),
    `due_since` DateTime64(3, 'UTC'),
    `requested_at` DateTime64(3, 'UTC') DEFAULT toDateTime64(0, 3, 'UTC'),
    `version` UInt64,
    INDEX by_due due_since TYPE minmax GRANULARITY 1,
    INDEX by_request requested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (project_id, workflow_id, created_at, id)
SETTINGS index_granularity = 1024;

CREATE TABLE delivery_attempts
(
    `delivery_id` UUID,
    `number` UInt32,
    `at` DateTime64(3, 'UTC'),
    `status_code` UInt16,
    `duration_ms` UInt32,
    `error` String CODEC(ZSTD(1)),
    `response` String CODEC(ZSTD(1)),
    `has_ended` Bool,
    `version` UInt8 DEFAULT has_ended
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (delivery_id, number, at)
SETTINGS index_granularity = 1024;

CREATE TABLE delivery_progress
(
    `log_partition` UInt16,
    `planned_through` Int64,
    `written_at` DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY log_partition
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

CREATE TABLE erasures
(
    `id` UUID,
    `project_id` UUID,
    `contact_id` UUID,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `erased_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(erased_at)
ORDER BY (project_id, contact_id, id)
SETTINGS index_granularity = 8192;

CREATE TABLE event_counts
(
    `project_id` UUID,
    `unit_seconds` UInt32,
    `start` DateTime('UTC'),
    `name` LowCardinality(String),
    `log_partition` UInt16,
    `last_offset` SimpleAggregateFunction(max, UInt64),
    `count` Int64
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

CREATE TABLE memberships
(
    `project_id` UUID,
    `segment_id` UUID,
    `slug` LowCardinality(String),
    `contact_id` UUID,
    `email` String CODEC(ZSTD(1)),
    `occurred_at` DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    `entered` Bool,
    `log_partition` UInt16,
    `log_offset` UInt64 CODEC(ZSTD(1)),
    `log_index` UInt32
)
ENGINE = MergeTree
ORDER BY (project_id, segment_id, slug, contact_id, log_offset, log_index)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE TABLE schema_migrations
(
    `version` UInt32,
    `name` String,
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY version
SETTINGS index_granularity = 8192;

CREATE TABLE segment_progress
(
    `log_partition` UInt16,
    `segment_id` UUID,
    `revision` String,
    `referred` String,
    `evaluated_through` Int64,
    `evaluated_at` DateTime64(3, 'UTC'),
    `written_at` DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (log_partition, segment_id)
SETTINGS index_granularity = 8192;

CREATE TABLE subscriptions
(
    `project_id` UUID,
    `contact_id` UUID,
    `occurred_at` DateTime64(3, 'UTC'),
    `subscribed` Bool,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` UInt32
)
ENGINE = MergeTree
ORDER BY (project_id, contact_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

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

CREATE MATERIALIZED VIEW contact_changes_view TO contact_changes
(
    `log_partition` UInt16,
    `log_offset` UInt64,
    `project_id` UUID,
    `contact_id` UUID,
    `email` String
)
AS SELECT
    log_partition,
    log_offset,
    project_id,
    contact_id,
    email
FROM contact_facts
WHERE is_change;

CREATE MATERIALIZED VIEW contact_facts_view TO contact_facts
(
    `project_id` UUID,
    `contact_id` UUID,
    `email` String,
    `occurred_at` DateTime64(3, 'UTC'),
    `subscribed` Nullable(Bool),
    `data` String,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` UInt32
)
AS SELECT
    project_id,
    contact_id,
    email,
    occurred_at,
    subscribed,
    if(startsWith(data, '{') AND (NOT startsWith(name, 'email.')) AND (NOT (startsWith(name, 'segment.') AND (endsWith(name, '.entry') OR endsWith(name, '.exit')))) AND (name NOT IN ('contact.subscribed', 'contact.unsubscribed')), data, '') AS data,
    log_partition,
    log_offset,
    log_index
FROM events;

CREATE MATERIALIZED VIEW contacts_view TO contacts
(
    `project_id` UUID,
    `email` String,
    `shape` UInt64,
    `contact_id` UUID,
    `log_partition` UInt16,
    `first_offset` UInt64,
    `last_offset` UInt64,
    `created_at` DateTime64(3, 'UTC'),
    `subscription` UInt128,
    `version` UInt128,
    `data` AggregateFunction(argMax, String, UInt128)
)
AS SELECT
    project_id,
    email,
    shape,
    any(contact) AS contact_id,
    any(part) AS log_partition,
    min(place) AS first_offset,
    max(place) AS last_offset,
    min(moment) AS created_at,
    max(if(isNull(said), toUInt128(1), bitOr(at, toUInt128(assumeNotNull(said))))) AS subscription,
    max(if(text = '', toUInt128(0), at)) AS version,
    argMaxState(text, at) AS data
FROM
(
    SELECT
        project_id,
        email,
        contact_id AS contact,
        log_partition AS part,
        log_offset AS place,
        occurred_at AS moment,
        subscribed AS said,
        data AS text,
        multiIf(text = '', 0, multiSearchAny(text, ['""', 'persistent', '\\']), cityHash64(if(empty(JSONExtractKeys(text)), text, ''), arrayMap(member -> (member.1, multiIf((member.2) = '""', '""', position(member.2, 'persistent') = 0, '', length(JSONExtractKeys(member.2)) != length(arrayDistinct(JSONExtractKeys(member.2))), member.2, concat(toString(JSONHas(member.2, 'value')), JSONExtractRaw(member.2, 'persistent')))), JSONExtractKeysAndValuesRaw(text))), cityHash64(if(empty(JSONExtractKeys(text)), text, ''), arraySort(JSONExtractKeys(text)))) AS shape,
        bitOr(bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Milli(occurred_at)), 80), bitShiftLeft(toUInt128(log_offset), 32)), toUInt128(log_index + 1) * 2) AS at
    FROM contact_facts
)
GROUP BY
    project_id,
    email,
    shape;

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

CREATE MATERIALIZED VIEW memberships_view TO memberships
(
    `project_id` UUID,
    `segment_id` UUID,
    `slug` String,
    `contact_id` UUID,
    `email` String,
    `occurred_at` DateTime64(3, 'UTC'),
    `entered` LowCardinality(UInt8),
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` UInt32
)
AS SELECT
    project_id,
    toUUIDOrZero(JSONExtractString(data, 'segmentId')) AS segment_id,
    substring(toString(name), 9, length(toString(name)) - if(entered, 14, 13)) AS slug,
    contact_id,
    email,
    occurred_at,
    endsWith(name, '.entry') AS entered,
    log_partition,
    log_offset,
    log_index
FROM events
WHERE startsWith(name, 'segment.') AND (endsWith(name, '.entry') OR endsWith(name, '.exit'));

CREATE MATERIALIZED VIEW subscriptions_view TO subscriptions
(
    `project_id` UUID,
    `contact_id` UUID,
    `occurred_at` DateTime64(3, 'UTC'),
    `subscribed` Bool,
    `log_partition` UInt16,
    `log_offset` UInt64,
    `log_index` UInt32
)
AS SELECT
    project_id,
    contact_id,
    occurred_at,
    assumeNotNull(facts.subscribed) AS subscribed,
    log_partition,
    log_offset,
    log_index
FROM contact_facts AS facts
WHERE isNotNull(facts.subscribed);
