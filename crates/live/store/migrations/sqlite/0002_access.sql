-- Who may do what, and who did.

CREATE TABLE keys (
    id                  TEXT PRIMARY KEY,
    hash                BLOB NOT NULL,
    label               TEXT NOT NULL,
    workflows           TEXT,
    direct              INTEGER NOT NULL,
    budget_nano         INTEGER,
    budget_per          TEXT,
    requests_per_minute INTEGER,
    tokens_per_minute   INTEGER,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER,
    revoked_at          INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE key_use (
    key          TEXT PRIMARY KEY,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Moves with every change of a key, whoever makes it, so that a running server notices with one small read.
INSERT INTO meta (name, value) VALUES ('keys_revision', 1);
CREATE TRIGGER key_inserted AFTER INSERT ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE TRIGGER key_updated AFTER UPDATE ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;
CREATE TRIGGER key_deleted AFTER DELETE ON keys BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
END;

CREATE TABLE admin_tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,
    label      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    token      TEXT NOT NULL REFERENCES admin_tokens (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Configurations as they were taken over; secrets are never in the text.
CREATE TABLE revisions (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    revision TEXT NOT NULL,
    taken_at INTEGER NOT NULL,
    text     TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
