-- Several processes share the database: each partition has an owner and an epoch. Applied once, in one transaction.

-- A row is a living process. One of the version before has no slot, and counts as alone.
ALTER TABLE nodes
    DROP COLUMN one,
    ADD COLUMN slot      smallint UNIQUE,                -- the lowest free number: it names the node's queue and its sums
    ADD COLUMN alone     boolean NOT NULL DEFAULT true,  -- it shares the database with no other process
    ADD COLUMN leaving   boolean NOT NULL DEFAULT false, -- it gives its partitions away
    ADD COLUMN speaks    int     NOT NULL DEFAULT 1,     -- the newest form of records and messages that it reads
    ADD COLUMN key_print text    NOT NULL DEFAULT '';    -- of its newest token key

-- Who owns which executions. Both columns stand in a unique index, so a change of either waits for a commit that holds
-- the row (FOR KEY SHARE). An owner without a row in `nodes` is gone.
CREATE TABLE partitions (
    partition int    PRIMARY KEY,
    epoch     bigint NOT NULL DEFAULT 0,
    owner     uuid,
    UNIQUE (partition, epoch, owner)
) WITH (fillfactor = 20);

-- Grows with each change of the catalog: the other processes read again what they remember of it.
CREATE TABLE generation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    n   bigint  NOT NULL
) WITH (fillfactor = 20);
INSERT INTO generation (n) VALUES (0);

-- Keeps this process's row and the rows of its partitions until the commit, or ends the transaction where one of them is
-- not its own. In order, so that it and a takeover never wait for each other.
CREATE FUNCTION hold(me uuid, of_partitions int[], of_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own bigint;
BEGIN
    PERFORM hold(me);
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
