-- Executions that came from others: children by the task that started them, forks by their source.
CREATE INDEX headers_by_parent ON headers (parent, id) WHERE parent IS NOT NULL;

-- Beside the headers, whose last column is the input: few executions are forks.
CREATE TABLE forks (
    id     BLOB NOT NULL PRIMARY KEY,
    source BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX forks_by_source ON forks (source, id);
