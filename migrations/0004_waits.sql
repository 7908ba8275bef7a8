-- The tasks that wait for the outside, so that their listings read no journals. An append changes the rows of its execution; a task gets
-- its row when it has waited for a moment, so that most tasks never have one.
CREATE TABLE waits (
    execution      BLOB    NOT NULL,
    scheduled      INTEGER NOT NULL,            -- with the execution: the task's key
    machine        INTEGER NOT NULL REFERENCES resources (n),
    destination    TEXT    NOT NULL,
    queue          INTEGER NOT NULL,            -- 1: the destination is a queue
    state          TEXT    NOT NULL,
    resource       TEXT    NOT NULL,
    since          INTEGER NOT NULL,
    timeout        INTEGER,
    heartbeat_due  INTEGER,
    last_heartbeat INTEGER,
    attempt        INTEGER NOT NULL,
    submitted      INTEGER NOT NULL,
    PRIMARY KEY (execution, scheduled)
) WITHOUT ROWID, STRICT;

-- Listings, longest waiting first.
CREATE INDEX waits_by_since       ON waits (since, execution, scheduled);
CREATE INDEX waits_by_machine     ON waits (machine, since, execution, scheduled);
CREATE INDEX waits_by_destination ON waits (destination, since, execution, scheduled, queue);

-- What is open in a store of an earlier form has no rows yet: the engine writes them from the journals (`engine::journal::waits`).
INSERT INTO settings (key, value)
SELECT 'waits', 'to be written' WHERE EXISTS (SELECT 1 FROM executions WHERE status = 0);
