-- A task that takes its workers down with it is given a rest, or it would take down all of them, for ever.

ALTER TABLE task
    -- How often in a row its worker died or hung under it, since it last got anywhere.
    ADD COLUMN crashes integer NOT NULL DEFAULT 0;
ALTER TABLE task DROP CONSTRAINT task_fault_check;
ALTER TABLE task ADD CONSTRAINT task_fault_check CHECK (fault IN ('LOGIN', 'CONFIG', 'CRASH'));
