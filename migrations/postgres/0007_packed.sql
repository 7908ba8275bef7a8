-- A version that reads no packed batches does not start on this store any more.
COMMENT ON COLUMN journal.bytes IS
    'a batch of events: JSON; or 01, its length in two bytes, and the JSON packed with LZ4';
