-- What reports add up, and what proves that nothing was taken away.

-- What a sum is of: every combination that was met, once. Sums name it by number, so that a row of them is a few bytes.
CREATE TABLE cells (
    cell           INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow       TEXT NOT NULL,
    model          TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    provider       TEXT NOT NULL,
    region         TEXT NOT NULL,
    cause          TEXT NOT NULL,
    end_kind       TEXT NOT NULL,
    meter          TEXT NOT NULL,
    price_row      TEXT NOT NULL,
    price_pico     INTEGER NOT NULL,
    basis          TEXT NOT NULL,
    UNIQUE (workflow, model, upstream_model, provider, region, cause, end_kind, meter, price_row, price_pico, basis)
) STRICT;

-- Units and money by hour and by day, under the hour the attempt was sent in. Kept for ever: exports are made of the hours.
CREATE TABLE meters (
    width_ms    INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    cell        INTEGER NOT NULL REFERENCES cells (cell),
    attempts    INTEGER NOT NULL,
    units       INTEGER NOT NULL,
    amount_nano INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start, cell)
) STRICT, WITHOUT ROWID;

-- One row for each transaction that took facts over: which rows it wrote, what they digest to, and a hash over this and
-- the one before. A row that is gone or was changed later no longer agrees with its batch.
CREATE TABLE batches (
    seq             INTEGER PRIMARY KEY,
    segment         TEXT NOT NULL,
    from_offset     INTEGER NOT NULL,
    upto_offset     INTEGER NOT NULL,
    attempts_after  INTEGER NOT NULL,
    attempts_upto   INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    calls_after     INTEGER NOT NULL,
    calls_upto      INTEGER NOT NULL,
    calls           INTEGER NOT NULL,
    digest          BLOB NOT NULL,
    chain           BLOB NOT NULL,
    -- What retention has erased of it since.
    pruned          INTEGER NOT NULL DEFAULT 0,
    pruned_digest   BLOB NOT NULL DEFAULT (zeroblob(16))
) STRICT;
CREATE INDEX batches_by_attempts ON batches (attempts_upto);
CREATE INDEX batches_by_calls ON batches (calls_upto);

-- Where the chain stands, and the highest rows in it; whoever takes facts over locks this row first. Rows of `attempts` and `calls` up to `…_before` were
-- there before there were batches; batches up to `folded_seq` were erased when nothing was left of what they took.
CREATE TABLE books (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    seq             INTEGER NOT NULL,
    chain           BLOB NOT NULL,
    attempts_before INTEGER NOT NULL,
    calls_before    INTEGER NOT NULL,
    attempts_upto   INTEGER NOT NULL,
    calls_upto      INTEGER NOT NULL,
    summed_upto     INTEGER NOT NULL DEFAULT 0,
    folded_seq      INTEGER NOT NULL DEFAULT 0,
    folded_chain    BLOB NOT NULL,
    pruned_before   INTEGER NOT NULL DEFAULT 0,
    minutes_before  INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO books (one, seq, chain, attempts_before, calls_before, attempts_upto, calls_upto, folded_chain)
SELECT 1, 0, zeroblob(32), attempts, calls, attempts, calls, zeroblob(32)
FROM (SELECT COALESCE((SELECT MAX(seq) FROM attempts), 0) AS attempts, COALESCE((SELECT MAX(seq) FROM calls), 0) AS calls) AS newest;

-- What providers say they counted and billed, by day, as their reports have it; NULL where one does not say.
CREATE TABLE told (
    provider      TEXT NOT NULL,
    start         INTEGER NOT NULL,
    model         TEXT NOT NULL,
    requests      INTEGER,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    cost_nano     INTEGER,
    PRIMARY KEY (provider, start, model)
) STRICT, WITHOUT ROWID;
