-- Installing, resetting and removing: work of several steps, which somebody is at, and replaying.

ALTER TABLE installation DROP CONSTRAINT installation_status_check;
ALTER TABLE installation ADD CONSTRAINT installation_status_check
    CHECK (status IN ('INSTALLING', 'INSTALLED', 'RESETTING', 'UNINSTALLING'));
ALTER TABLE installation
    -- The process that is at it, and until when it counts as alive without another word.
    ADD COLUMN tender uuid,
    ADD COLUMN tended_until timestamptz,
    -- Why the last attempt to set it up again failed.
    ADD COLUMN problem text,
    -- How often it was emptied: what is told anew after that is another event.
    ADD COLUMN resets integer NOT NULL DEFAULT 0;

-- A reset makes tasks of the same ids again, and jobs of the ones before may still be on their way. The
-- clock, in microseconds, runs ahead of any number of generations that those can have had.
ALTER TABLE task ALTER COLUMN generation SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

ALTER TABLE set_aside ADD COLUMN replayed_at timestamptz;
CREATE INDEX set_aside_unreplayed ON set_aside (installation, created_at, id) WHERE replayed_at IS NULL;
