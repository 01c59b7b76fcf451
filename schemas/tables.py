"""The tables' names and columns, as code refers to them. A test compares them with the migrations' result."""

BATCHES = "batches"
CONTACTS = "contacts"
CONTACT_CHANGES = "contact_changes"
CONTACT_FACTS = "contact_facts"
DEAD_LETTERS = "dead_letters"
ERASURES = "erasures"
EVENTS = "events"
EVENTS_BY_CONTACT = "events_by_contact"
EVENTS_BY_NAME = "events_by_name"
EVENTS_PROBE = "events_probe"
EVENT_COUNTS = "event_counts"
DERIVED_IDS = "derived_ids"
DELETIONS = "deletions"
DELIVERIES = "deliveries"
DELIVERY_ATTEMPTS = "delivery_attempts"
DELIVERY_PROGRESS = "delivery_progress"
LATE_IDS = "late_ids"
GENERATIONS = "generations"
MEMBERSHIPS = "memberships"
SEGMENT_PROGRESS = "segment_progress"
SUBSCRIPTIONS = "subscriptions"
WRITER_CLAIMS = "writer_claims"
WRITER_PROGRESS = "writer_progress"

EVENT_COLUMNS = (
    "project_id",
    "occurred_at",
    "id",
    "name",
    "contact_id",
    "email",
    "email_id",
    "data",
    "subscribed",
    "derived",
    "received_at",
    "log_partition",
    "log_offset",
    "log_index",
)
"""The columns of `events` that a log line fills; `stored_at` is the server's."""

CLAIM_COLUMNS = ("log_partition", "epoch", "owner", "claimed_at")

PROGRESS_COLUMNS = (
    "log_partition",
    "epoch",
    "sequence",
    "stored_through",
    "pending_first",
    "pending_last",
    "caught_up",
    "complete_at",
    "written_at",
)
