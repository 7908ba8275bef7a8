-- How many tasks of an execution are open, and the sums that metrics show: kept with each commit, so that nobody counts rows.
-- Of executions that were open before this form the tasks count from their next append on.

ALTER TABLE executions ADD COLUMN tasks INTEGER NOT NULL DEFAULT 0;

CREATE TABLE totals (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    executions INTEGER NOT NULL,                -- with status 0
    tasks      INTEGER NOT NULL                 -- theirs
) STRICT;
INSERT INTO totals (one, executions, tasks) VALUES (1, (SELECT count(*) FROM executions WHERE status = 0), 0);
