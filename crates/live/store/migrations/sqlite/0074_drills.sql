-- Reports of drills that somebody chose to keep: what the console shows. They are no part of the books.
CREATE TABLE drills (
    id       INTEGER PRIMARY KEY,
    ran_at   INTEGER NOT NULL,
    title    TEXT NOT NULL,
    revision TEXT NOT NULL,
    seed     INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    report   TEXT NOT NULL,
    page     TEXT NOT NULL
) STRICT;
