-- Small documents with a name: forms, claims of tasks, answers of people, links that were revoked, codes to sign in.
CREATE TABLE notes (
    kind  text COLLATE "C" NOT NULL,
    key   text COLLATE "C" NOT NULL,
    body  text NOT NULL,                        -- JSON
    until bigint,                               -- it may be removed then
    PRIMARY KEY (kind, key)
);

CREATE INDEX notes_until ON notes (until) WHERE until IS NOT NULL;
