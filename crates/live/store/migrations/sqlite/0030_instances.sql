-- Which instance a fact comes from: with several on one database each takes over, concludes and adds up its own. Rows from
-- before have ''. The embedded database has one instance, and the same tables.

ALTER TABLE attempts ADD COLUMN instance TEXT NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN instance TEXT NOT NULL DEFAULT '';

CREATE TABLE segments_by_instance (
    instance        TEXT NOT NULL,
    name            TEXT NOT NULL,
    upto_offset     INTEGER NOT NULL,
    corrupt_lines   INTEGER NOT NULL DEFAULT 0,
    corrupt_offset  INTEGER,
    PRIMARY KEY (instance, name)
) STRICT, WITHOUT ROWID;
INSERT INTO segments_by_instance SELECT '', name, upto_offset, corrupt_lines, corrupt_offset FROM segments;
DROP TABLE segments;
ALTER TABLE segments_by_instance RENAME TO segments;

-- What each instance booked, by hour and day: what a lease is settled from when its instance died.
CREATE TABLE instance_spend (
    width_ms  INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    instance  TEXT NOT NULL,
    workflow  TEXT NOT NULL,
    key       TEXT NOT NULL,
    cost_nano INTEGER NOT NULL,
    tokens    INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, instance, workflow, key)
) STRICT, WITHOUT ROWID;
INSERT INTO instance_spend
    SELECT width_ms, start, '', workflow, key, SUM(cost_nano),
           CAST(MIN(TOTAL(input_tokens) + TOTAL(output_tokens), 9e18) AS INTEGER)
    FROM spend GROUP BY width_ms, start, workflow, key;

-- Every instance that ever served. Its incarnation is one process; its lease ends at a time of the database's clock.
CREATE TABLE instances (
    instance    TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    place       TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_ends  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT, WITHOUT ROWID;

-- The windows of budgets that are shared out, locked one after the other in the order of their names.
CREATE TABLE lease_windows (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    -- Moves when an instance needs more than is left: the others let go of what they do not use.
    asked        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, window_start)
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('leases_asked', 0);

-- Each instance's part: it settles and holds no more than its ceiling.
CREATE TABLE leases (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    instance     TEXT NOT NULL,
    ceiling      INTEGER NOT NULL,
    settled      INTEGER NOT NULL,
    held         INTEGER NOT NULL,
    PRIMARY KEY (budget, window_start, instance)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_instance ON leases (instance);
