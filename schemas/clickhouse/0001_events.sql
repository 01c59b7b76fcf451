-- The events and what is counted of them.
--
-- Not partitioned by month: an insert would be split into one part per month that it touches (an import of old events:
-- hundreds, in every table), and source and targets of a view that are split differently lose their deduplication.
-- The sort key finds a time range as fast.
--
-- Every table has its own deduplication window, because a view's target does not inherit its source's: without one a
-- retried insert would be dropped by `events` and counted a second time by the views.
--
-- Ids stand in the sort keys as toUInt128(id): it orders as the id's text does, which UUID does not.

-- One row per event. Serves the list of events (newest first, between two times). The indexes serve verification, which
-- walks along the log, and the search for one event by its id, which tells when it was received.
CREATE TABLE IF NOT EXISTS events
(
    project_id UUID,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    id UUID,
    name LowCardinality(String),
    contact_id UUID,
    email String CODEC(ZSTD),
    email_id String CODEC(ZSTD),
    data String CODEC(ZSTD),
    subscribed Nullable(Bool),
    derived Bool,
    received_at DateTime64(3, 'UTC') DEFAULT occurred_at CODEC(Delta, ZSTD),
    log_partition UInt16,
    log_offset UInt64 CODEC(Delta, ZSTD),
    log_index UInt32 CODEC(Delta, ZSTD),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    INDEX by_offset log_offset TYPE minmax,
    INDEX by_receipt received_at TYPE minmax
)
ENGINE = MergeTree
ORDER BY (project_id, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per event, with what the list of a contact shows: fetching the rows from `events` by key costs five times
-- as much as reading them here (a contact's events are scattered over all granules there).
CREATE TABLE IF NOT EXISTS events_by_contact
(
    project_id UUID,
    contact_id UUID,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    id UUID,
    name LowCardinality(String),
    email_id String CODEC(ZSTD),
    data String CODEC(ZSTD),
    log_partition UInt16,
    log_offset UInt64 CODEC(Delta, ZSTD)
)
ENGINE = MergeTree
ORDER BY (project_id, contact_id, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_contact_view TO events_by_contact AS
SELECT project_id, contact_id, occurred_at, id, name, email_id, data, log_partition, log_offset
FROM events;

-- One row per event, with what the list shows: serves the list by name. For a rare name the same in `events` is a walk
-- through the project (124 ms at 6 million events, 4 to 6 ms here).
CREATE TABLE IF NOT EXISTS events_by_name
(
    project_id UUID,
    name LowCardinality(String),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    id UUID,
    contact_id UUID,
    email String CODEC(ZSTD),
    email_id String CODEC(ZSTD),
    data String CODEC(ZSTD),
    log_partition UInt16,
    log_offset UInt64 CODEC(Delta, ZSTD)
)
ENGINE = MergeTree
ORDER BY (project_id, name, occurred_at, toUInt128(id))
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_name_view TO events_by_name AS
SELECT project_id, name, occurred_at, id, contact_id, email, email_id, data, log_partition, log_offset
FROM events;

-- How many events there are: one row per project, unit of time, name and partition of the log (after merges). Units are
-- all time (0), days, hours and minutes (UTC). Serves the names by frequency (all time) and stats: any span is a few whole
-- units of each length and, at its two ends, a part of a minute of `events`. Seconds too would be about as many rows as
-- `events` has, wherever few events meet in one, and every range costs a read in every part.
-- One view writes all units: what a view costs hardly depends on the rows, and an insert pays for each view.
-- The partition and its last offset are there so that the counts of deleted events can be removed as rows, which may be
-- done twice; taking them off a sum may not.
-- Small granules and blocks, as stats read many short ranges: each costs a block of each column, in each part. So parts are
-- also merged earlier than usual (2 instead of 7 at 10 million events), which its narrow rows make cheap.
CREATE TABLE IF NOT EXISTS event_counts
(
    project_id UUID,
    unit_seconds UInt32,
    start DateTime('UTC'),
    name LowCardinality(String),
    log_partition UInt16,
    last_offset SimpleAggregateFunction(max, UInt64),
    count UInt64
)
ENGINE = SummingMergeTree(count)
ORDER BY (project_id, unit_seconds, start, name, log_partition)
SETTINGS
    non_replicated_deduplication_window = 10000,
    index_granularity = 512, min_compress_block_size = 4096, max_compress_block_size = 16384,
    merge_selector_base = 2;

CREATE MATERIALIZED VIEW IF NOT EXISTS event_counts_view TO event_counts AS
SELECT
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
    GROUP BY project_id, minute, name, log_partition
)
ARRAY JOIN [0, 86400, 3600, 60] AS unit_seconds
GROUP BY project_id, unit_seconds, start, name, log_partition;

-- One row per stored event with a derived id, with its place in the log. Serves the writer, which fills it and refuses a
-- second copy: a copy is what stands behind the first in the log, so a replay of the first decides as it did before.
-- It outlives the events: a retry after a deletion must not bring its event back.
CREATE TABLE IF NOT EXISTS derived_ids
(
    id UUID,
    log_partition UInt16,
    log_offset UInt64
)
ENGINE = MergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

-- One row per deletion of a name and partition: how many events it removed there, counted before it removed them. A
-- deletion that is repeated after a crash counts fewer, so the highest count holds.
CREATE TABLE IF NOT EXISTS deletions
(
    id UUID,
    project_id UUID,
    name String,
    log_partition UInt16,
    log_offset UInt64,
    events UInt64,
    counted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (id, log_partition);
