-- What a row said when Freehold wrote it, as a digest, so that a ceiling somebody raised is seen. Rows from before have none.
ALTER TABLE leases ADD COLUMN digest TEXT COLLATE "C" NOT NULL DEFAULT '';
