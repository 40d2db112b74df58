-- Reports of drills that somebody chose to keep: what the console shows. They are no part of the books.
CREATE TABLE drills (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ran_at   BIGINT NOT NULL,
    title    TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    seed     BIGINT NOT NULL,
    held     BIGINT NOT NULL,
    report   TEXT COLLATE "C" NOT NULL,
    page     TEXT COLLATE "C" NOT NULL
);
