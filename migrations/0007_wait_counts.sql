-- How many tasks wait at each destination, so that nothing counts rows. The triggers keep it, whatever changes `waits`; a destination
-- where nothing waits has no row.
CREATE TABLE wait_counts (
    destination TEXT    NOT NULL,
    queue       INTEGER NOT NULL,               -- as in `waits`
    tasks       INTEGER NOT NULL,
    PRIMARY KEY (destination, queue)
) WITHOUT ROWID, STRICT;

INSERT INTO wait_counts (destination, queue, tasks)
SELECT destination, queue, count(*) FROM waits INDEXED BY waits_by_destination GROUP BY destination, queue;

CREATE TRIGGER wait_comes AFTER INSERT ON waits BEGIN
    INSERT INTO wait_counts (destination, queue, tasks) VALUES (new.destination, new.queue, 1)
    ON CONFLICT (destination, queue) DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER wait_goes AFTER DELETE ON waits BEGIN
    UPDATE wait_counts SET tasks = tasks - 1 WHERE destination = old.destination AND queue = old.queue;
    DELETE FROM wait_counts WHERE destination = old.destination AND queue = old.queue AND tasks = 0;
END;

-- The settings may have another destination for a task that waits already.
CREATE TRIGGER wait_moves AFTER UPDATE ON waits WHEN (old.destination, old.queue) <> (new.destination, new.queue) BEGIN
    UPDATE wait_counts SET tasks = tasks - 1 WHERE destination = old.destination AND queue = old.queue;
    DELETE FROM wait_counts WHERE destination = old.destination AND queue = old.queue AND tasks = 0;
    INSERT INTO wait_counts (destination, queue, tasks) VALUES (new.destination, new.queue, 1)
    ON CONFLICT (destination, queue) DO UPDATE SET tasks = tasks + 1;
END;
