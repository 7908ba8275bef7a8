-- A node that does not reach the broker says so, and gives its partitions to those that do.
ALTER TABLE nodes ADD COLUMN deaf boolean NOT NULL DEFAULT false;
