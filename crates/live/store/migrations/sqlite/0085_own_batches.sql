-- Batches that Freehold runs itself: the files of their requests, how far each batch is, and what came of each request. Contents of
-- requests and answers stand here until their client deletes them or they are too old.
CREATE TABLE own_batch_files (
    id      TEXT PRIMARY KEY,
    key     TEXT NOT NULL,
    name    TEXT NOT NULL,
    bytes   INTEGER NOT NULL,
    created INTEGER NOT NULL,
    body    BLOB NOT NULL
) STRICT;
CREATE INDEX own_batch_files_of_key ON own_batch_files (key, created, id);

CREATE TABLE own_batches (
    id          TEXT PRIMARY KEY,
    key         TEXT NOT NULL,
    input       TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    metadata    TEXT,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    lines       INTEGER NOT NULL,
    status      TEXT NOT NULL,
    cancelling  INTEGER,
    ended       INTEGER,
    -- How many requests came to what, once it is over; until then they are counted.
    answered    INTEGER,
    failed      INTEGER,
    -- Which instance runs it, and until when nobody else may.
    owner       TEXT,
    owner_until INTEGER NOT NULL
) STRICT;
CREATE INDEX own_batches_of_key ON own_batches (key, created, id);
CREATE INDEX own_batches_under_way ON own_batches (expires) WHERE ended IS NULL;

CREATE TABLE own_batch_lines (
    batch  TEXT NOT NULL,
    number INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    text   BLOB NOT NULL,
    PRIMARY KEY (batch, number)
) STRICT;
