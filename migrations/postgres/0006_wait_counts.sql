-- How many tasks wait at each destination, so that nothing counts rows. Triggers keep it, whatever changes `waits` and whichever
-- version does: servers of the version before go on beside this one. Each server has rows of its own, so that none waits for a lock of
-- another; a server's own count may be negative, because a task may begin at one server and end at another.
CREATE TABLE wait_counts (
    destination_key uuid    NOT NULL,           -- as in `waits`
    queue           boolean NOT NULL,
    writer          int     NOT NULL,
    tasks           bigint  NOT NULL,
    destination     bytea   NOT NULL,
    PRIMARY KEY (destination_key, queue, writer)
) WITH (fillfactor = 50);

-- The same as before, and says in `reveille.writer` whose counts the transaction changes. A server removes executions beside its
-- appends, in another transaction: each of the two has rows of its own.
CREATE OR REPLACE FUNCTION hold(me uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own int;
BEGIN
    SELECT coalesce(slot, 0) INTO own FROM nodes WHERE node = me FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another process has taken this store over' USING ERRCODE = 'RV001';
    END IF;
    PERFORM set_config('reveille.writer', (-1 - own)::text, true);
END $$;

CREATE OR REPLACE FUNCTION hold(me uuid, of_partitions int[], of_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own bigint;
BEGIN
    PERFORM hold(me);
    PERFORM set_config('reveille.writer', (-1 - current_setting('reveille.writer')::int)::text, true);
    SELECT count(*) INTO own FROM (
        SELECT 1 FROM unnest(of_partitions, of_epochs) AS wanted (partition, epoch)
        JOIN partitions p ON p.partition = wanted.partition AND p.epoch = wanted.epoch
        WHERE p.owner = me
        ORDER BY p.partition
        FOR KEY SHARE OF p) held;
    IF own <> cardinality(of_partitions) THEN
        RAISE EXCEPTION 'another process owns a partition of this commit' USING ERRCODE = 'RV003';
    END IF;
END $$;

-- Once for each statement. In the order of the key, so that two transactions with the same rows do not wait for each other.
CREATE FUNCTION count_waits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    own int := coalesce(nullif(current_setting('reveille.writer', true), ''), '0');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO wait_counts AS c (destination_key, queue, writer, tasks, destination)
        SELECT destination_key, queue, own, count(*), destination FROM came
        GROUP BY destination_key, queue, destination ORDER BY destination_key, queue
        ON CONFLICT (destination_key, queue, writer) DO UPDATE SET tasks = c.tasks + excluded.tasks;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO wait_counts AS c (destination_key, queue, writer, tasks, destination)
        SELECT destination_key, queue, own, -count(*), destination FROM went
        GROUP BY destination_key, queue, destination ORDER BY destination_key, queue
        ON CONFLICT (destination_key, queue, writer) DO UPDATE SET tasks = c.tasks + excluded.tasks;
    ELSE
        -- The settings may have another destination for a task that waits already.
        INSERT INTO wait_counts AS c (destination_key, queue, writer, tasks, destination)
        SELECT destination_key, queue, own, sum(n), destination FROM (
            SELECT destination_key, queue, destination, 1 AS n FROM came
            UNION ALL SELECT destination_key, queue, destination, -1 FROM went) moved
        GROUP BY destination_key, queue, destination HAVING sum(n) <> 0 ORDER BY destination_key, queue
        ON CONFLICT (destination_key, queue, writer) DO UPDATE SET tasks = c.tasks + excluded.tasks;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER wait_comes AFTER INSERT ON waits REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION count_waits();
CREATE TRIGGER wait_goes AFTER DELETE ON waits REFERENCING OLD TABLE AS went
    FOR EACH STATEMENT EXECUTE FUNCTION count_waits();
CREATE TRIGGER wait_moves AFTER UPDATE ON waits REFERENCING OLD TABLE AS went NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION count_waits();

-- Behind the triggers, whose creation keeps others from changing `waits` until the commit.
INSERT INTO wait_counts (destination_key, queue, writer, tasks, destination)
SELECT destination_key, queue, 0, count(*), destination FROM waits GROUP BY destination_key, queue, destination;
