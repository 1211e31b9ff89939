"""The tables of an SQLite ledger, as numbered migrations.

A migration and the row that records it are committed together. ``user_version``
holds the number of the last one; a file with a higher number was written by a
newer tokencalc and is refused.

Money columns are 64-bit whole pico-dollars, times whole microseconds since 1970
in UTC. ``dimension`` stores each combination of whom-and-what once; ``rollup``
sums quarter-hours by dimension, because every zone's hours and days are made of
quarter-hours. Its cost is kept in two parts, cost_micro * 1000000 + cost_rest
pico-dollars, because one 64-bit sum ends at 9.2 million dollars. ``unpriced`` is 1
for a charge without a whole price and -1 for the correction that fills it, so that
every count of unpriced calls is a sum over entries. ``basis`` stores what the cost
lines of many entries have in common once (``codec.Basis``). ``series`` stores a
metric's name, labels and origin once; its samples lie together, in the order of time.
``alert`` has a row for each time that a rule's condition came and went (at most one
of an instance is open), ``outbox`` one for each message to each channel.
"""

from __future__ import annotations

APPLICATION_ID = 0x746B6363
"""Marks the file as a tokencalc ledger ("tkcc")."""

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE migration (
    version INTEGER PRIMARY KEY, applied_us INTEGER NOT NULL, description TEXT NOT NULL
) STRICT;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), last_us INTEGER NOT NULL) STRICT;
CREATE TABLE dimension (
    dimension_id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL, model TEXT NOT NULL, agent_id TEXT NOT NULL, user_id TEXT NOT NULL,
    project TEXT NOT NULL, api_key_id TEXT NOT NULL, operation TEXT NOT NULL, notional INTEGER NOT NULL,
    UNIQUE (provider, model, agent_id, user_id, project, api_key_id, operation, notional)
) STRICT;
CREATE TABLE budget (
    budget_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    definition TEXT NOT NULL, set_us INTEGER NOT NULL, entries_until_us INTEGER NOT NULL
) STRICT;
CREATE TABLE budget_period (
    period_id INTEGER PRIMARY KEY, budget_id INTEGER NOT NULL, revision INTEGER NOT NULL,
    scope_value TEXT NOT NULL, period_key TEXT NOT NULL, start_us INTEGER, end_us INTEGER,
    limit_pico INTEGER NOT NULL, held_pico INTEGER NOT NULL, spent_pico INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL, overflowed INTEGER NOT NULL,
    UNIQUE (budget_id, revision, scope_value, period_key)
) STRICT;
CREATE TABLE hold (
    hold_id INTEGER PRIMARY KEY, state TEXT NOT NULL, amount_pico INTEGER NOT NULL, expected_pico INTEGER NOT NULL,
    dimension_id INTEGER NOT NULL, at_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
    detail TEXT, entry_sequence INTEGER
) STRICT;
CREATE INDEX hold_open ON hold (expires_us) WHERE state = 'open';
CREATE TABLE hold_scope (
    hold_id INTEGER NOT NULL, period_id INTEGER NOT NULL, PRIMARY KEY (hold_id, period_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE hold_event (
    event_id INTEGER PRIMARY KEY, hold_id INTEGER NOT NULL, kind TEXT NOT NULL,
    at_us INTEGER NOT NULL, amount_pico INTEGER NOT NULL
) STRICT;
CREATE TABLE basis (basis_id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entry (
    sequence INTEGER PRIMARY KEY, dimension_id INTEGER NOT NULL, kind TEXT NOT NULL,
    at_us INTEGER NOT NULL, recorded_us INTEGER NOT NULL,
    amount_pico INTEGER, amount_source TEXT, caller_pico INTEGER, unpriced INTEGER NOT NULL,
    basis_id INTEGER, usage TEXT, lines TEXT, detail TEXT, corrects INTEGER, digest BLOB NOT NULL
) STRICT;
CREATE INDEX entry_at ON entry (at_us);
CREATE INDEX entry_corrects ON entry (corrects) WHERE corrects IS NOT NULL;
CREATE INDEX entry_unpriced ON entry (at_us) WHERE unpriced > 0;
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, entry_sequence INTEGER, hold_id INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE rollup (
    quarter INTEGER NOT NULL, dimension_id INTEGER NOT NULL,
    calls INTEGER NOT NULL, unpriced_calls INTEGER NOT NULL,
    cost_micro INTEGER NOT NULL, cost_rest INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    PRIMARY KEY (quarter, dimension_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE crossing (
    crossing_id INTEGER PRIMARY KEY, period_id INTEGER NOT NULL, threshold_percent INTEGER NOT NULL,
    at_us INTEGER NOT NULL, recorded_us INTEGER NOT NULL, spent_pico INTEGER NOT NULL, limit_pico INTEGER NOT NULL,
    in_open_period INTEGER NOT NULL, UNIQUE (period_id, threshold_percent)
) STRICT;
CREATE TABLE excess (
    excess_id INTEGER PRIMARY KEY, period_id INTEGER NOT NULL, reason TEXT NOT NULL,
    amount_pico INTEGER NOT NULL, at_us INTEGER NOT NULL, entry_sequence INTEGER
) STRICT;
CREATE INDEX excess_period ON excess (period_id);
"""

_SAMPLES = """
CREATE TABLE series (
    series_id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL, unit TEXT NOT NULL,
    host TEXT NOT NULL, source TEXT NOT NULL, UNIQUE (name, labels, unit, host, source)
) STRICT;
CREATE TABLE sample (
    series_id INTEGER NOT NULL, at_us INTEGER NOT NULL, process INTEGER NOT NULL, number INTEGER NOT NULL,
    value REAL NOT NULL, PRIMARY KEY (series_id, at_us, process, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE sample_drop (one INTEGER PRIMARY KEY CHECK (one = 1), dropped INTEGER NOT NULL) STRICT;
INSERT INTO sample_drop VALUES (1, 0);
"""

_ALERTS = """
CREATE TABLE alert (
    alert_id INTEGER PRIMARY KEY, rule TEXT NOT NULL, instance TEXT NOT NULL, labels TEXT NOT NULL,
    severity TEXT NOT NULL, state TEXT NOT NULL, text TEXT NOT NULL, value TEXT NOT NULL,
    since_us INTEGER NOT NULL, fired_us INTEGER, acknowledged_us INTEGER, acknowledged_by TEXT,
    resolved_us INTEGER, resolved_by TEXT
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (rule, instance) WHERE state <> 'resolved';
CREATE INDEX alert_instance ON alert (rule, instance, fired_us);
CREATE TABLE outbox (
    outbox_id INTEGER PRIMARY KEY, alert_id INTEGER NOT NULL, event TEXT NOT NULL, channel TEXT NOT NULL,
    message TEXT NOT NULL, queued_us INTEGER NOT NULL, next_us INTEGER NOT NULL, attempts INTEGER NOT NULL,
    refused INTEGER NOT NULL, lease TEXT, leased_until_us INTEGER, delivered_us INTEGER, problem TEXT,
    UNIQUE (alert_id, event, channel)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (channel, outbox_id) WHERE delivered_us IS NULL;
"""

_GIVEN_UP = """
ALTER TABLE outbox ADD COLUMN given_up_us INTEGER;
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (channel, given_up_us, outbox_id) WHERE delivered_us IS NULL;
"""

MIGRATIONS: tuple[tuple[int, str, str], ...] = (
    (1, "the first tables", _FIRST),
    (2, "samples", _SAMPLES),
    (3, "alerts", _ALERTS),
    (4, "messages that are given up", _GIVEN_UP),
)
"""(version, description, statements) in order."""

SCHEMA_VERSION = MIGRATIONS[-1][0]
"""The newest version that this tokencalc reads and writes."""

QUARTER_US = 15 * 60 * 1_000_000
"""Microseconds in the quarter-hour that rollups sum."""

CLOCK_STEP_US = 1_000_000
"""The newest instant is kept anew when it is so much later, in microseconds."""

PICO_PER_MICRO = 10**6
"""Pico-dollars in the unit of a rollup's first cost column."""

BEFORE_ALL_US = -(2**62)
"""An instant before all others, in microseconds; its negative is one after all others."""

COPIED = "copied"
"""The key of `meta` that a backup has: its new holds are numbered by the clock, so none is called as a lost one."""
