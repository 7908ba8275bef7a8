-- The first form of the store in PostgreSQL. Applied once, in one transaction, by src/store/postgres/migrate.rs.
-- A file that has been released is never changed again: what comes later is a new file.
--
-- Times are milliseconds since 1970. Ids of executions are UUIDs of version 7, so a commit writes the right edge of each index.
-- An ARN that executions are listed by stands twice: as text in `headers`, and as the first 16 bytes of its SHA-256 in the
-- index. No number is drawn for it, so no cache of numbers can be wrong, and several writers need not agree on one.
-- Texts are compared byte by byte (COLLATE "C"), as in the other stores.

-- The processes that may write: one row each, made at the start, removed at the stop. A beat that stands still tells of a
-- process that is gone. Each commit locks its row (`hold`): after the row is deleted nothing of its process can land.
CREATE TABLE nodes (
    node    uuid   PRIMARY KEY,
    one     boolean NOT NULL DEFAULT true UNIQUE CHECK (one),  -- one process at a time, until several share the partitions
    beat    bigint NOT NULL,
    name    text   NOT NULL,                    -- host and process, for people
    version text   NOT NULL,
    since   bigint NOT NULL
) WITH (fillfactor = 20);

-- The index of executions: all columns that change, and those that are listed by.
CREATE TABLE executions (
    id              uuid     PRIMARY KEY,
    version         bigint   NOT NULL,          -- events in the journal
    due             bigint,
    closed          bigint,
    redriven        bigint,
    started         bigint   NOT NULL,
    machine         uuid     NOT NULL,
    machine_version uuid,
    machine_alias   uuid,
    map_run         uuid,
    tasks           bigint   NOT NULL,
    redrive_count   bigint   NOT NULL,
    partition       int      NOT NULL,
    status          smallint NOT NULL CHECK (status BETWEEN 0 AND 5), -- 0 RUNNING 1 SUCCEEDED 2 FAILED 3 TIMED_OUT 4 ABORTED 5 PENDING_REDRIVE
    owes_parent     boolean  NOT NULL,
    owes            boolean  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- Who sleeps until when; whom a start must look at; whose parent waits to hear. They hold the open ones alone.
CREATE INDEX executions_due   ON executions (partition, due, id) WHERE status = 0 AND due IS NOT NULL;
CREATE INDEX executions_owes  ON executions (partition, id) WHERE status = 0 AND owes;
CREATE INDEX executions_owing ON executions (partition, id) WHERE owes_parent;
-- What is purged first.
CREATE INDEX executions_closed ON executions (closed, id) WHERE closed IS NOT NULL;
-- Listings, newest start first. Without a status a listing merges the six ranges, so no index without it is paid for.
CREATE INDEX executions_by_machine  ON executions (machine, status, started, id);
CREATE INDEX executions_by_version  ON executions (machine_version, status, started, id) WHERE machine_version IS NOT NULL;
CREATE INDEX executions_by_alias    ON executions (machine_alias, status, started, id) WHERE machine_alias IS NOT NULL;
CREATE INDEX executions_by_map_run  ON executions (map_run, status, started, id) WHERE map_run IS NOT NULL;
CREATE INDEX executions_by_redriven ON executions (machine, status, started, id) WHERE redrive_count > 0;

-- What never changes about an execution.
CREATE TABLE headers (
    id           uuid    PRIMARY KEY,
    arn_key      uuid    NOT NULL,
    revision     uuid    NOT NULL,
    parent       uuid,
    parent_event bigint,
    item_index   bigint,
    named        boolean NOT NULL,              -- false: it gave up its name to a younger execution
    arn          text    NOT NULL,
    name         text    NOT NULL,
    machine      text    NOT NULL,
    version_arn  text,
    alias_arn    text,
    map_run      text,
    trace_header bytea,                         -- a client's text: it may hold a NUL, which the type text refuses
    input        text    NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
-- One execution has a name, on all nodes.
CREATE UNIQUE INDEX headers_by_arn ON headers (arn_key) WHERE named;
-- Whether anything runs a revision: looked at when a revision may go.
CREATE INDEX headers_by_revision ON headers (revision);

-- How executions ended: beside the index, so that a long output is never carried through its updates. A row of an execution
-- that is open again (redriven) means nothing.
CREATE TABLE closings (
    id     uuid  PRIMARY KEY,
    error  bytea,                               -- UTF-8; it may hold a NUL
    cause  bytea,
    output text
);

-- One row per append. `n` grows with each append of an execution.
CREATE SEQUENCE journal_n;
CREATE TABLE journal (
    execution uuid   NOT NULL,
    n         bigint NOT NULL DEFAULT nextval('journal_n'),
    after     bigint NOT NULL,                  -- version before this batch
    events    bigint NOT NULL,
    epoch     bigint NOT NULL,                  -- of the owner that wrote it
    bytes     bytea  NOT NULL,
    PRIMARY KEY (execution, n)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
-- Batches do not compress well, and the length of one that is not compressed is read without its bytes.
ALTER TABLE journal ALTER bytes SET STORAGE EXTERNAL;

-- The tasks that wait for the outside, so that their listings read no journals. A task gets its row when it has waited for a
-- moment, so that most tasks never have one.
CREATE TABLE waits (
    execution       uuid    NOT NULL,
    scheduled       bigint  NOT NULL,           -- with the execution: the task's key
    machine         uuid    NOT NULL,
    destination_key uuid    NOT NULL,           -- of the destination's SHA-256: a text may be too long for an index
    since           bigint  NOT NULL,
    timeout         bigint,
    heartbeat_due   bigint,
    last_heartbeat  bigint,
    attempt         bigint  NOT NULL,
    queue           boolean NOT NULL,           -- the destination is a queue
    submitted       boolean NOT NULL,
    destination     bytea   NOT NULL,
    state           bytea   NOT NULL,
    resource        bytea   NOT NULL,
    PRIMARY KEY (execution, scheduled)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Listings, longest waiting first.
CREATE INDEX waits_by_since       ON waits (since, execution, scheduled);
CREATE INDEX waits_by_machine     ON waits (machine, since, execution, scheduled);
CREATE INDEX waits_by_destination ON waits (destination_key, since, execution, scheduled);

-- Sums over open executions, one row for each writer: kept with each commit, so that nobody counts rows.
CREATE TABLE totals (
    writer     int    PRIMARY KEY,
    executions bigint NOT NULL,
    tasks      bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO totals VALUES (0, 0, 0);

-- The catalog. `place` is the order of creation, never used twice.
CREATE TABLE revisions (
    id            uuid    PRIMARY KEY,
    machine       text    COLLATE "C" NOT NULL,
    initial       boolean NOT NULL,
    made          bigint  NOT NULL,
    role_arn      bytea   NOT NULL,               -- clients' texts are bytes here, because they may hold a NUL
    configuration text    NOT NULL,
    definition    text    NOT NULL
);

CREATE TABLE machines (
    place        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arn          text    COLLATE "C" NOT NULL UNIQUE,
    name         text    NOT NULL,
    kind         text    NOT NULL,
    created      bigint  NOT NULL,
    deleting     boolean NOT NULL,
    revision     uuid    NOT NULL REFERENCES revisions (id),
    next_version bigint  NOT NULL DEFAULT 1     -- numbers of deleted versions are not given out again
);
CREATE INDEX machines_by_revision ON machines (revision);

CREATE TABLE versions (
    arn         text   COLLATE "C" PRIMARY KEY,
    machine     text   COLLATE "C" NOT NULL REFERENCES machines (arn),
    number      bigint NOT NULL,
    revision    uuid   NOT NULL REFERENCES revisions (id),
    description bytea,
    created     bigint NOT NULL,
    UNIQUE (machine, number),
    UNIQUE (machine, revision)
);
CREATE INDEX versions_by_revision ON versions (revision);

CREATE TABLE aliases (
    place       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arn         text   COLLATE "C" NOT NULL UNIQUE,
    machine     text   COLLATE "C" NOT NULL REFERENCES machines (arn),
    name        text   NOT NULL,
    description bytea,
    routes      text   NOT NULL,                -- JSON: [[version ARN, percent], …]
    created     bigint NOT NULL,
    updated     bigint NOT NULL
);
CREATE INDEX aliases_by_machine ON aliases (machine, place);

CREATE TABLE activities (
    place         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arn           text   COLLATE "C" NOT NULL UNIQUE,
    name          text   NOT NULL,
    created       bigint NOT NULL,
    configuration text   NOT NULL
);

CREATE TABLE map_runs (
    place     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arn       text   COLLATE "C" NOT NULL UNIQUE,
    execution uuid   NOT NULL,
    started   bigint NOT NULL,
    stopped   bigint,
    body      text   NOT NULL
);
CREATE INDEX map_runs_by_execution ON map_runs (execution, place);

CREATE TABLE tags (
    resource text COLLATE "C" NOT NULL,
    key      bytea NOT NULL,
    value    bytea NOT NULL,
    PRIMARY KEY (resource, key)
);

-- Where deleted things stood in their listings: a reader who deletes page by page can go on from a row that is gone.
CREATE TABLE departed (
    arn   text   COLLATE "C" PRIMARY KEY,
    place bigint NOT NULL,
    n     bigint NOT NULL                       -- order of departure; the oldest are forgotten
);
CREATE INDEX departed_by_n ON departed (n);

CREATE TABLE settings (
    key   text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Keeps this process's row until the commit, or ends the transaction where the row is gone.
CREATE FUNCTION hold(me uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM nodes WHERE node = me FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another process has taken this store over' USING ERRCODE = 'RV001';
    END IF;
END $$;

-- Ends the transaction where a statement did not find all of its rows.
CREATE FUNCTION expect(wanted bigint, counted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF wanted <> counted THEN
        RAISE EXCEPTION 'expected % rows, found %', wanted, counted USING ERRCODE = 'RV002';
    END IF;
END $$;

-- For people.
CREATE VIEW execution_list AS
SELECT h.arn,
       CASE e.status WHEN 0 THEN 'RUNNING' WHEN 1 THEN 'SUCCEEDED' WHEN 2 THEN 'FAILED' WHEN 3 THEN 'TIMED_OUT'
                     WHEN 4 THEN 'ABORTED' ELSE 'PENDING_REDRIVE' END AS status,
       to_timestamp(e.started / 1000.0) AS started, to_timestamp(e.closed / 1000.0) AS closed, to_timestamp(e.due / 1000.0) AS due,
       convert_from(c.error, 'UTF8') AS error, e.version AS events, e.partition, e.id
FROM executions e JOIN headers h ON h.id = e.id LEFT JOIN closings c ON c.id = e.id AND e.closed IS NOT NULL;
