-- Contacts: what events and other changes say of a person, folded while it is stored.
--
-- The order of what is said of a contact is a number, its version: when it happened (milliseconds), then the offset in the
-- log, then the place in the record, counted from 1 and doubled: the lowest bit is free for a value. All of a contact
-- stands in one partition, so offsets compare.

-- What was said of contacts: of each event one row, and one of each change that is no event. Kept by nobody: it is where
-- the views below get it from, whoever says it.
CREATE TABLE IF NOT EXISTS contact_facts
(
    project_id UUID,
    contact_id UUID,
    email String,
    occurred_at DateTime64(3, 'UTC'),
    subscribed Nullable(Bool),
    data String,
    log_partition UInt16,
    log_offset UInt64,
    log_index UInt32
)
ENGINE = Null;

-- One row per contact and shape of data (after merges). Two objects have the same shape where they set and delete the same
-- keys: then the later one replaces the earlier one as a whole, as text, and a contact's data is the fold of a few rows,
-- however many events it has. To fold key by key here costs twice as much an event, and ClickHouse would spell numbers
-- anew: it makes text of an integer beyond 64 bits, and nothing at all of an object with 1e400.
-- first_offset: the contact is known from there on. subscription: version of what was last said of it, and in the lowest
-- bit what; 1 where nothing was. version: of `data`, which is the text of the object of that version, "" for none.
CREATE TABLE IF NOT EXISTS contacts
(
    project_id UUID,
    email String CODEC(ZSTD),
    shape UInt64 CODEC(ZSTD),
    contact_id SimpleAggregateFunction(any, UUID),
    log_partition SimpleAggregateFunction(any, UInt16),
    first_offset SimpleAggregateFunction(min, UInt64) CODEC(ZSTD),
    last_offset SimpleAggregateFunction(max, UInt64) CODEC(ZSTD),
    created_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD),
    subscription SimpleAggregateFunction(max, UInt128) CODEC(ZSTD),
    version SimpleAggregateFunction(max, UInt128) CODEC(ZSTD),
    data AggregateFunction(argMax, String, UInt128) CODEC(ZSTD),
    INDEX by_id contact_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, email, shape)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

-- The shape: a hash of the keys. Where some of the values may count for nothing ("" and {"value": …, "persistent": false},
-- which may be spelled with escapes), it is one of the keys in their order and of what makes the difference. What
-- ClickHouse cannot read has a shape of its own, and replaces only its like.
CREATE MATERIALIZED VIEW IF NOT EXISTS contacts_view TO contacts AS
SELECT
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
        multiIf(
            text = '', 0,
            multiSearchAny(text, ['""', 'persistent', '\\']), cityHash64(
                if(empty(JSONExtractKeys(text)), text, ''),
                arrayMap(
                    member -> (member.1, multiIf(
                        member.2 = '""', '""',
                        position(member.2, 'persistent') = 0, '',
                        length(JSONExtractKeys(member.2)) != length(arrayDistinct(JSONExtractKeys(member.2))), member.2,
                        concat(toString(JSONHas(member.2, 'value')), JSONExtractRaw(member.2, 'persistent'))
                    )),
                    JSONExtractKeysAndValuesRaw(text)
                )
            ),
            cityHash64(if(empty(JSONExtractKeys(text)), text, ''), arraySort(JSONExtractKeys(text)))
        ) AS shape,
        bitOr(
            bitOr(
                bitShiftLeft(toUInt128(toUnixTimestamp64Milli(occurred_at)), 80),
                bitShiftLeft(toUInt128(log_offset), 32)
            ),
            toUInt128(log_index + 1) * 2
        ) AS at
    FROM contact_facts
)
GROUP BY project_id, email, shape;

-- One row for each time that something was said of a subscription. Serves the writer, which must know what a contact's
-- subscription was before a place in the log, also where it comes to that place a second time.
CREATE TABLE IF NOT EXISTS subscriptions
(
    project_id UUID,
    contact_id UUID,
    occurred_at DateTime64(3, 'UTC'),
    subscribed Bool,
    log_partition UInt16,
    log_offset UInt64,
    log_index UInt32
)
ENGINE = MergeTree
ORDER BY (project_id, contact_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS subscriptions_view TO subscriptions AS
SELECT
    project_id,
    contact_id,
    occurred_at,
    assumeNotNull(facts.subscribed) AS subscribed,
    log_partition,
    log_offset,
    log_index
FROM contact_facts AS facts
WHERE isNotNull(facts.subscribed);

-- Events of callers bring data; the product's own only tell of the subscription.
CREATE MATERIALIZED VIEW IF NOT EXISTS contact_facts_view TO contact_facts AS
SELECT
    project_id,
    contact_id,
    email,
    occurred_at,
    subscribed,
    if(
        startsWith(data, '{')
            AND NOT startsWith(name, 'email.')
            AND NOT (startsWith(name, 'segment.') AND (endsWith(name, '.entry') OR endsWith(name, '.exit')))
            AND name NOT IN ('contact.subscribed', 'contact.unsubscribed'),
        data,
        ''
    ) AS data,
    log_partition,
    log_offset,
    log_index
FROM events;

-- What an erased contact's events had been counted for is taken off again, by rows that count less than nothing.
ALTER TABLE event_counts MODIFY COLUMN IF EXISTS count Int64;

-- One row per erasure of a contact: where it stands in the log. What stands before it must not come back.
CREATE TABLE IF NOT EXISTS erasures
(
    id UUID,
    project_id UUID,
    contact_id UUID,
    log_partition UInt16,
    log_offset UInt64,
    erased_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(erased_at)
ORDER BY (project_id, contact_id, id);
