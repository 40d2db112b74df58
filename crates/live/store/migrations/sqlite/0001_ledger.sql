-- What calls leave: intents, records, call ends, and the sums pages read.
-- Times are Unix milliseconds, money is nano-dollars, names are text as configured ('' where there is none).

-- One row per attempt, for ever unique: ingesting a spool twice books nothing twice.
CREATE TABLE attempts (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt    TEXT NOT NULL UNIQUE,
    at         INTEGER NOT NULL,
    workflow   TEXT NOT NULL,
    lane       TEXT NOT NULL,
    model      TEXT NOT NULL,
    provider   TEXT NOT NULL,
    key        TEXT NOT NULL,
    cause      TEXT NOT NULL,
    end_kind   TEXT NOT NULL,
    cost_kind  TEXT NOT NULL,
    cost_nano  INTEGER NOT NULL,
    usage      TEXT NOT NULL,
    record     TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_time ON attempts (at);

-- Attempts that were about to be sent and have no record yet.
CREATE TABLE intents (
    attempt TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    intent  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Double entry; the lines of one attempt sum to zero.
CREATE TABLE journal (
    attempt     TEXT NOT NULL,
    line        INTEGER NOT NULL,
    account     TEXT NOT NULL,
    amount_nano INTEGER NOT NULL,
    PRIMARY KEY (attempt, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    call      TEXT NOT NULL UNIQUE,
    ended_at  INTEGER NOT NULL,
    workflow  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    model     TEXT NOT NULL,
    key       TEXT NOT NULL,
    failed    INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    call_end  TEXT NOT NULL
) STRICT;
-- An index holds the row number last, so each also gives the newest first.
CREATE INDEX calls_by_time ON calls (ended_at);
CREATE INDEX calls_by_workflow ON calls (workflow);
CREATE INDEX calls_by_lane ON calls (lane);
CREATE INDEX calls_by_model ON calls (model);
CREATE INDEX calls_by_key ON calls (key);
CREATE INDEX calls_failed ON calls (failed) WHERE failed = 1;

-- Bodies lie apart from their call, so that erasing one rewrites nothing else.
CREATE TABLE captures (
    call    TEXT PRIMARY KEY,
    until   INTEGER NOT NULL,
    capture TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX captures_by_until ON captures (until);

-- Money by hour and by day, from records, under the hour the attempt was sent in. Days are kept for ever: budgets are
-- restored from them when the records are long pruned.
CREATE TABLE spend (
    width_ms      INTEGER NOT NULL,
    start         INTEGER NOT NULL,
    workflow      TEXT NOT NULL,
    lane          TEXT NOT NULL,
    model         TEXT NOT NULL,
    key           TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    cost_nano     INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    indeterminate INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
) STRICT, WITHOUT ROWID;

-- Calls by minute, hour and day, from call ends, under the time they ended.
CREATE TABLE traffic (
    width_ms  INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    workflow  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    model     TEXT NOT NULL,
    key       TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
) STRICT, WITHOUT ROWID;

-- Times to the first content, as counts by bucket (see rollup.rs).
CREATE TABLE first_tokens (
    width_ms INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    lane     TEXT NOT NULL,
    model    TEXT NOT NULL,
    bucket   INTEGER NOT NULL,
    calls    INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, bucket)
) STRICT, WITHOUT ROWID;

-- How far each spool segment has been taken over. Moves in the same transaction as what was taken.
CREATE TABLE segments (
    name            TEXT PRIMARY KEY,
    upto_offset     INTEGER NOT NULL,
    corrupt_lines   INTEGER NOT NULL DEFAULT 0,
    corrupt_offset  INTEGER
) STRICT, WITHOUT ROWID;
