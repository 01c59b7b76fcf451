-- Who is in which segment: one row per change. The state is that of the newest row of a contact and a segment; entries
-- and exits alternate. Of segments that no project has registered the id is zero, and the slug tells them apart.
CREATE TABLE IF NOT EXISTS memberships
(
    project_id UUID,
    segment_id UUID,
    slug LowCardinality(String),
    contact_id UUID,
    email String CODEC(ZSTD(1)),
    occurred_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    entered Bool,
    log_partition UInt16,
    log_offset UInt64 CODEC(ZSTD(1)),
    log_index UInt32
)
ENGINE = MergeTree
ORDER BY (project_id, segment_id, slug, contact_id, log_offset, log_index)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS memberships_view TO memberships AS
SELECT
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

-- Which contacts were changed otherwise than by an event, and where in the log: their segments are looked at anew.
ALTER TABLE contact_facts ADD COLUMN IF NOT EXISTS is_change Bool DEFAULT false;

CREATE TABLE IF NOT EXISTS contact_changes
(
    log_partition UInt16,
    log_offset UInt64,
    project_id UUID,
    contact_id UUID,
    email String
)
ENGINE = MergeTree
ORDER BY (log_partition, log_offset)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS contact_changes_view TO contact_changes AS
SELECT log_partition, log_offset, project_id, contact_id, email FROM contact_facts WHERE is_change;

-- How far segments are evaluated: of a partition (the segment is zero) up to which offset, of a segment in a partition
-- which revision of it all contacts were compared with, and which revisions of those that it refers to. All generations
-- of tables share the first one's.
CREATE TABLE IF NOT EXISTS segment_progress
(
    log_partition UInt16,
    segment_id UUID,
    revision String,
    referred String,
    evaluated_through Int64,
    evaluated_at DateTime64(3, 'UTC'),
    written_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (log_partition, segment_id);
