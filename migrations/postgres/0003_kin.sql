-- Executions that came from others: children by the task that started them, forks by their source.
CREATE INDEX headers_by_parent ON headers (parent, id) WHERE parent IS NOT NULL;
ALTER TABLE headers ADD COLUMN forked uuid;
CREATE INDEX headers_by_source ON headers (forked, id) WHERE forked IS NOT NULL;
