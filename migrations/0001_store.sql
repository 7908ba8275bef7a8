-- The first form of the store. Applied once, in one transaction, by src/store/sqlite/migrate.rs.
-- A file that has been released is never changed again: what comes later is a new file.
--
-- How the tables divide the work: an append touches the narrow row of its execution and the right edge of the journal, nothing wide.
-- Times are milliseconds since 1970. Ids are 16 bytes. Numbers (`n`) are ours alone and never leave the store.

-- ARNs that many executions share (machines, versions, aliases, map runs), so that indexes carry a small number instead of a text.
CREATE TABLE resources (
    n   INTEGER PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE
) STRICT;

-- The index of executions: all columns that change, and those that are listed by. No text: a row is about 80 bytes, the pages of
-- everything that is open stay in the cache. Keyed by the id itself, so that an append finds its row with one descent.
CREATE TABLE executions (
    id              BLOB    NOT NULL PRIMARY KEY,
    n               INTEGER NOT NULL,           -- row of headers and closings
    partition       INTEGER NOT NULL,
    version         INTEGER NOT NULL,           -- events in the journal
    tail            INTEGER NOT NULL,           -- newest row of the journal; each row names the one before it
    status          INTEGER NOT NULL,           -- 0 RUNNING 1 SUCCEEDED 2 FAILED 3 TIMED_OUT 4 ABORTED 5 PENDING_REDRIVE
    due             INTEGER,
    closed          INTEGER,
    owes_parent     INTEGER NOT NULL,
    owes            INTEGER NOT NULL,
    redrive_count   INTEGER NOT NULL,
    redriven        INTEGER,
    started         INTEGER NOT NULL,
    machine         INTEGER NOT NULL REFERENCES resources (n),
    machine_version INTEGER REFERENCES resources (n),
    machine_alias   INTEGER REFERENCES resources (n),
    map_run         INTEGER REFERENCES resources (n)
) WITHOUT ROWID, STRICT;

-- Who sleeps until when; whom a start must look at; whose parent waits to hear. They hold the open ones alone.
CREATE INDEX executions_due   ON executions (partition, due, id) WHERE status = 0 AND due IS NOT NULL;
CREATE INDEX executions_owes  ON executions (partition, id) WHERE status = 0 AND owes = 1;
CREATE INDEX executions_owing ON executions (partition, id) WHERE owes_parent = 1;
-- What is purged first.
CREATE INDEX executions_closed ON executions (closed) WHERE closed IS NOT NULL;
-- Listings, newest start first. Without a status a listing merges the six ranges, so no index without it is paid for.
CREATE INDEX executions_by_machine  ON executions (machine, status, started, id);
CREATE INDEX executions_by_version  ON executions (machine_version, status, started, id) WHERE machine_version IS NOT NULL;
CREATE INDEX executions_by_alias    ON executions (machine_alias, status, started, id) WHERE machine_alias IS NOT NULL;
CREATE INDEX executions_by_map_run  ON executions (map_run, status, started, id) WHERE map_run IS NOT NULL;
CREATE INDEX executions_by_redriven ON executions (machine, status, started, id) WHERE redrive_count > 0;

-- What never changes about an execution. The input stands last: reading the columns before it does not touch its pages.
CREATE TABLE headers (
    n            INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL,
    arn_key      INTEGER NOT NULL,              -- 8 bytes of the ARN's SHA-256: an index a tenth the size of one over the text
    named        INTEGER NOT NULL,              -- 0: it gave up its name to a younger execution
    arn          TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    revision     BLOB    NOT NULL,
    trace_header TEXT,
    parent       BLOB,
    parent_event INTEGER,
    item_index   INTEGER,
    input        TEXT    NOT NULL
) STRICT;
CREATE INDEX headers_by_arn ON headers (arn_key) WHERE named = 1;

-- How executions ended: beside the index, so that a long output is never carried through its updates.
CREATE TABLE closings (
    n      INTEGER PRIMARY KEY,
    error  TEXT,
    cause  TEXT,
    output TEXT
) STRICT;

-- One row per append, in the order of commits. `previous` chains the batches of one execution backwards from executions.tail, so the
-- journal has no index at all and an append writes to its right edge only.
CREATE TABLE journal (
    n         INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,                 -- executions.n
    previous  INTEGER,
    after     INTEGER NOT NULL,                 -- version before this batch
    events    INTEGER NOT NULL,
    bytes     BLOB    NOT NULL
) STRICT;

-- The catalog. `place` is the order of creation, never used twice.
CREATE TABLE machines (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    arn          TEXT    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    deleting     INTEGER NOT NULL,
    revision     BLOB    NOT NULL,
    next_version INTEGER NOT NULL               -- numbers of deleted versions are not given out again
) STRICT;

CREATE TABLE revisions (
    id            BLOB    NOT NULL PRIMARY KEY,
    machine       TEXT    NOT NULL,
    initial       INTEGER NOT NULL,
    made          INTEGER NOT NULL,
    role_arn      TEXT    NOT NULL,
    configuration TEXT    NOT NULL,
    definition    TEXT    NOT NULL
) STRICT;

-- How many executions run (or ran) each revision: a revision is kept while one does. Beside the text, because it changes often.
CREATE TABLE revision_uses (
    revision BLOB    NOT NULL PRIMARY KEY,
    uses     INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE versions (
    arn         TEXT    NOT NULL PRIMARY KEY,
    machine     TEXT    NOT NULL REFERENCES machines (arn),
    number      INTEGER NOT NULL,
    revision    BLOB    NOT NULL REFERENCES revisions (id),
    description TEXT,
    created     INTEGER NOT NULL,
    UNIQUE (machine, number),
    UNIQUE (machine, revision)
) STRICT;
CREATE INDEX versions_by_revision ON versions (revision);

CREATE TABLE aliases (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,
    arn         TEXT    NOT NULL UNIQUE,
    machine     TEXT    NOT NULL REFERENCES machines (arn),
    name        TEXT    NOT NULL,
    description TEXT,
    routes      TEXT    NOT NULL,               -- JSON: [[version ARN, percent], …]
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL
) STRICT;
CREATE INDEX aliases_by_machine ON aliases (machine, place);

CREATE TABLE activities (
    place         INTEGER PRIMARY KEY AUTOINCREMENT,
    arn           TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    configuration TEXT    NOT NULL
) STRICT;

CREATE TABLE map_runs (
    place     INTEGER PRIMARY KEY AUTOINCREMENT,
    arn       TEXT    NOT NULL UNIQUE,
    execution BLOB    NOT NULL,
    started   INTEGER NOT NULL,
    stopped   INTEGER,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX map_runs_by_execution ON map_runs (execution, place);

CREATE TABLE tags (
    resource TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key)
) WITHOUT ROWID, STRICT;

-- Where deleted things stood in their listings: a reader who deletes page by page can go on from a row that is gone.
CREATE TABLE departed (
    arn   TEXT NOT NULL PRIMARY KEY,
    place INTEGER NOT NULL,
    n     INTEGER NOT NULL                      -- order of departure; the oldest are forgotten
) WITHOUT ROWID, STRICT;
CREATE INDEX departed_by_n ON departed (n);

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- For people with the sqlite3 shell.
CREATE VIEW execution_list AS
SELECT h.arn,
       CASE e.status WHEN 0 THEN 'RUNNING' WHEN 1 THEN 'SUCCEEDED' WHEN 2 THEN 'FAILED' WHEN 3 THEN 'TIMED_OUT'
                     WHEN 4 THEN 'ABORTED' ELSE 'PENDING_REDRIVE' END AS status,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.started / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.closed / 1000.0, 'unixepoch') AS closed,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.due / 1000.0, 'unixepoch') AS due,
       e.version AS events, e.partition, lower(hex(e.id)) AS id
FROM executions e JOIN headers h ON h.n = e.n;
