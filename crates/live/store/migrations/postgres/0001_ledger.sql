-- What calls leave: intents, records, call ends, and the sums pages read.
-- Times are Unix milliseconds, money is nano-dollars, names are text as configured ('' where there is none).
-- Identifiers sort by time and byte by byte, so a day of attempts is a range of their names: the tables with a row for
-- each fact are partitioned by it, a name is unique however many days there are, and a day is forgotten by dropping it.

-- One row per attempt, for ever unique: ingesting a spool twice books nothing twice.
CREATE SEQUENCE attempts_seq;
CREATE TABLE attempts (
    seq        BIGINT NOT NULL DEFAULT nextval('attempts_seq'),
    attempt    TEXT COLLATE "C" PRIMARY KEY,
    at         BIGINT NOT NULL,
    workflow   TEXT NOT NULL,
    lane       TEXT NOT NULL,
    model      TEXT NOT NULL,
    provider   TEXT NOT NULL,
    key        TEXT NOT NULL,
    cause      TEXT NOT NULL,
    end_kind   TEXT NOT NULL,
    cost_kind  TEXT NOT NULL,
    cost_nano  BIGINT NOT NULL,
    usage      TEXT NOT NULL,
    record     TEXT NOT NULL
) PARTITION BY RANGE (attempt);
CREATE INDEX attempts_by_seq ON attempts (seq);
CREATE INDEX attempts_by_time ON attempts (at);
-- What providers do later or keep is found again at a start, however many attempts there are.
CREATE INDEX attempts_at_most ON attempts (at) WHERE cost_kind = 'at_most';
CREATE INDEX attempts_kept ON attempts (at) WHERE cause IN ('keep', 'batch');

-- Attempts that were about to be sent and have no record yet.
CREATE TABLE intents (
    attempt TEXT COLLATE "C" PRIMARY KEY,
    at      BIGINT NOT NULL,
    intent  TEXT NOT NULL
);

-- Double entry; the lines of one attempt sum to zero.
CREATE TABLE journal (
    attempt     TEXT COLLATE "C" NOT NULL,
    line        BIGINT NOT NULL,
    account     TEXT NOT NULL,
    amount_nano BIGINT NOT NULL,
    PRIMARY KEY (attempt, line)
) PARTITION BY RANGE (attempt);

CREATE SEQUENCE calls_seq;
CREATE TABLE calls (
    seq       BIGINT NOT NULL DEFAULT nextval('calls_seq'),
    call      TEXT COLLATE "C" PRIMARY KEY,
    ended_at  BIGINT NOT NULL,
    workflow  TEXT COLLATE "C" NOT NULL,
    lane      TEXT COLLATE "C" NOT NULL,
    model     TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    failed    BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    call_end  TEXT NOT NULL
) PARTITION BY RANGE (call);
CREATE INDEX calls_by_seq ON calls (seq);
CREATE INDEX calls_by_time ON calls (ended_at);
CREATE INDEX calls_by_workflow ON calls (workflow, seq);
CREATE INDEX calls_by_lane ON calls (lane, seq);
CREATE INDEX calls_by_model ON calls (model, seq);
CREATE INDEX calls_by_key ON calls (key, seq);
CREATE INDEX calls_failed ON calls (seq) WHERE failed = 1;

-- Bodies lie apart from their call, so that erasing one rewrites nothing else.
CREATE TABLE captures (
    call    TEXT COLLATE "C" PRIMARY KEY,
    until   BIGINT NOT NULL,
    capture TEXT NOT NULL
);
CREATE INDEX captures_by_until ON captures (until);

-- Money by hour and by day, from records, under the hour the attempt was sent in. Days are kept for ever: budgets are
-- restored from them when the records are long pruned.
CREATE TABLE spend (
    width_ms      BIGINT NOT NULL,
    start         BIGINT NOT NULL,
    workflow      TEXT COLLATE "C" NOT NULL,
    lane          TEXT COLLATE "C" NOT NULL,
    model         TEXT COLLATE "C" NOT NULL,
    key           TEXT COLLATE "C" NOT NULL,
    attempts      BIGINT NOT NULL,
    cost_nano     BIGINT NOT NULL,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    unpriced      BIGINT NOT NULL,
    indeterminate BIGINT NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
);

-- Calls by minute, hour and day, from call ends, under the time they ended.
CREATE TABLE traffic (
    width_ms  BIGINT NOT NULL,
    start     BIGINT NOT NULL,
    workflow  TEXT COLLATE "C" NOT NULL,
    lane      TEXT COLLATE "C" NOT NULL,
    model     TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    calls     BIGINT NOT NULL,
    errors    BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, key)
);

-- Times to the first content, as counts by bucket (see rollup.rs).
CREATE TABLE first_tokens (
    width_ms BIGINT NOT NULL,
    start    BIGINT NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL,
    lane     TEXT COLLATE "C" NOT NULL,
    model    TEXT COLLATE "C" NOT NULL,
    bucket   BIGINT NOT NULL,
    calls    BIGINT NOT NULL,
    PRIMARY KEY (width_ms, start, workflow, lane, model, bucket)
);

-- How far each spool segment has been taken over. Moves in the same transaction as what was taken.
CREATE TABLE segments (
    name            TEXT COLLATE "C" PRIMARY KEY,
    upto_offset     BIGINT NOT NULL,
    corrupt_lines   BIGINT NOT NULL DEFAULT 0,
    corrupt_offset  BIGINT
);
