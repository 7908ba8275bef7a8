-- Small documents with a name: forms, claims of tasks, answers of people, links that were revoked, codes to sign in.
CREATE TABLE notes (
    kind  TEXT NOT NULL,
    key   TEXT NOT NULL,
    body  TEXT NOT NULL,                        -- JSON
    until INTEGER,                              -- it may be removed then
    PRIMARY KEY (kind, key)
) WITHOUT ROWID, STRICT;

CREATE INDEX notes_until ON notes (until) WHERE until IS NOT NULL;
