-- What operators do: pausing, cancelling, running now; and what they look at.

ALTER TABLE installation
    -- By a person: none of its tasks runs until it is resumed.
    ADD COLUMN paused boolean NOT NULL DEFAULT false,
    -- What the provider said when it no longer accepted the credentials: none runs until they change.
    ADD COLUMN login_error text;

ALTER TABLE task
    -- By a person: it keeps its schedule, and does not run until it is resumed.
    ADD COLUMN paused boolean NOT NULL DEFAULT false,
    -- Told to stop by a pause, so that what it was to do is still to be done.
    ADD COLUMN interrupted boolean NOT NULL DEFAULT false,
    -- Of a periodic one that is run out of turn: where its beat was.
    ADD COLUMN beat timestamptz,
    -- Who has to mend what its last run failed with: LOGIN, CONFIG, or nobody in particular.
    ADD COLUMN fault text COLLATE "C" CHECK (fault IN ('LOGIN', 'CONFIG')),
    -- The task that the descriptor names, for those that are made with @task. Not a generated column: each
    -- update would read its expression anew.
    ADD COLUMN name text COLLATE "C";
UPDATE task SET name = split_part(descriptor, '"', 2)
WHERE length(split_part(descriptor, '"', 2)) BETWEEN 1 AND 200 AND strpos(split_part(descriptor, '"', 2), '\') = 0
  AND (descriptor = '"' || split_part(descriptor, '"', 2) || '"'
       OR starts_with(descriptor, '{"' || split_part(descriptor, '"', 2) || '":{'));

-- Lists by status and by name, a few rows of each status merged; and counts by status.
CREATE INDEX task_status ON task (installation, status, created_at DESC, id DESC);
CREATE INDEX task_name ON task (installation, name, status, created_at DESC, id DESC);
CREATE INDEX task_periodic ON task (installation) WHERE schedule = 'EVERY';

-- The latest good run of an installation; and its runs, as before.
CREATE INDEX run_outcome ON run (installation, outcome, id DESC);
DROP INDEX run_installation;
