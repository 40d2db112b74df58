-- Batches that Freehold runs itself: the files of their requests, how far each batch is, and what came of each request. Contents of
-- requests and answers stand here until their client deletes them or they are too old.
CREATE TABLE own_batch_files (
    id      TEXT COLLATE "C" PRIMARY KEY,
    key     TEXT COLLATE "C" NOT NULL,
    name    TEXT NOT NULL,
    bytes   BIGINT NOT NULL,
    created BIGINT NOT NULL,
    body    BYTEA NOT NULL
);
CREATE INDEX own_batch_files_of_key ON own_batch_files (key, created, id);

CREATE TABLE own_batches (
    id          TEXT COLLATE "C" PRIMARY KEY,
    key         TEXT COLLATE "C" NOT NULL,
    input       TEXT COLLATE "C" NOT NULL,
    endpoint    TEXT NOT NULL,
    metadata    TEXT,
    created     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    lines       BIGINT NOT NULL,
    status      TEXT NOT NULL,
    cancelling  BIGINT,
    ended       BIGINT,
    -- How many requests came to what, once it is over; until then they are counted.
    answered    BIGINT,
    failed      BIGINT,
    -- Which instance runs it, and until when nobody else may.
    owner       TEXT,
    owner_until BIGINT NOT NULL
);
CREATE INDEX own_batches_of_key ON own_batches (key, created, id);
CREATE INDEX own_batches_under_way ON own_batches (expires) WHERE ended IS NULL;

CREATE TABLE own_batch_lines (
    batch  TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    text   BYTEA NOT NULL,
    PRIMARY KEY (batch, number)
);
