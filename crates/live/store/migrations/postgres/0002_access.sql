-- Who may do what, and who did.

CREATE TABLE keys (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    hash                BYTEA NOT NULL,
    label               TEXT NOT NULL,
    workflows           TEXT,
    direct              BIGINT NOT NULL,
    budget_nano         BIGINT,
    budget_per          TEXT,
    requests_per_minute BIGINT,
    tokens_per_minute   BIGINT,
    created_at          BIGINT NOT NULL,
    expires_at          BIGINT,
    revoked_at          BIGINT
);

CREATE TABLE key_use (
    key          TEXT COLLATE "C" PRIMARY KEY,
    last_used_at BIGINT NOT NULL
);

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Moves with every change of a key, whoever makes it, so that a running server notices with one small read.
INSERT INTO meta (name, value) VALUES ('keys_revision', 1);
CREATE FUNCTION keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'keys_revision';
    RETURN NULL;
END $$;
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON keys
    FOR EACH STATEMENT EXECUTE FUNCTION keys_changed();

CREATE TABLE admin_tokens (
    id         TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA NOT NULL,
    label      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY,
    token      TEXT COLLATE "C" NOT NULL REFERENCES admin_tokens (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Configurations as they were taken over; secrets are never in the text.
CREATE TABLE revisions (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    text     TEXT NOT NULL
);

CREATE TABLE audit (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
);
