-- Installations: connectors installed with a config, and the steps of getting in, being emptied and out.

-- name: migrated
-- Before the first migration there is no such table.
SELECT to_regclass('paymux.installation') IS NOT NULL, to_regclass('paymux.bank_account') IS NOT NULL;

-- name: any
SELECT EXISTS (SELECT FROM paymux.installation);

-- name: any_bank_account
SELECT EXISTS (SELECT FROM paymux.bank_account);

-- name: insert
-- The process that installs holds it from the start: another one undoes it when this one has died.
INSERT INTO installation (uuid, provider, name, config, max_tasks, status, tender, tended_until)
VALUES ($1, $2, $3, $4, $5, 'INSTALLING', $6, now() + $7)
RETURNING id;

-- name: installed
-- The second half of an install, in the transaction that schedules its first tasks. Not when somebody
-- else has taken it to be dead and undoes it.
UPDATE installation SET status = 'INSTALLED', updated_at = now(), tender = NULL, tended_until = NULL
WHERE id = $1 AND status = 'INSTALLING' AND tender IS NOT DISTINCT FROM $2;

-- name: list
-- Oldest first. Those on their way out, and those that never got in, do not exist to the outside.
SELECT id, uuid, provider, name, config, revision, max_tasks, status, problem, created_at, updated_at
FROM installation WHERE status IN ('INSTALLED', 'RESETTING') ORDER BY id;

-- name: get
SELECT id, uuid, provider, name, config, revision, max_tasks, status, problem, created_at, updated_at
FROM installation WHERE uuid = $1 AND status IN ('INSTALLED', 'RESETTING');

-- name: load
-- Whatever its status: its tasks may run while it is being installed.
SELECT id, uuid, provider, name, config, revision, max_tasks, status, problem, created_at, updated_at
FROM installation WHERE id = $1;

-- name: keep_open
-- Until the end of the transaction: a reset or an uninstall waits for that.
SELECT FROM installation WHERE id = $1 AND status = 'INSTALLED' FOR SHARE;

-- name: names
SELECT lower(name) FROM installation WHERE status <> 'UNINSTALLING';

-- name: unfinished
-- Neither quite in nor quite out, and nobody alive is at it; or, with $1, whoever was at it.
SELECT id, uuid, provider, status FROM installation
WHERE status <> 'INSTALLED' AND ($1 OR tended_until IS NULL OR tended_until < now())
ORDER BY id;

-- name: claim
-- Becomes the one who is at it, unless somebody else is; $4 takes it from whoever was.
UPDATE installation SET tender = $2, tended_until = now() + $3
WHERE id = $1 AND status <> 'INSTALLED' AND ($4 OR tender = $2 OR tended_until IS NULL OR tended_until < now())
RETURNING status;

-- name: keep
-- Says that who is at it is alive. No row: it is somebody else's now, or there is nothing left to do.
UPDATE installation SET tended_until = now() + $3 WHERE id = $1 AND tender = $2 AND status <> 'INSTALLED';

-- name: release
-- Whoever comes next need not wait for the time to run out.
UPDATE installation SET tended_until = NULL WHERE id = $1 AND tender = $2;

-- name: leave
-- Takes it from whoever is resetting or installing it.
UPDATE installation SET status = 'UNINSTALLING', updated_at = now(), tender = $2, tended_until = now() + $3
WHERE id = $1 AND status <> 'UNINSTALLING';

-- name: reset
-- A new revision: connectors that workers hold remember what they have seen.
UPDATE installation SET status = 'RESETTING', revision = revision + 1, updated_at = now(), problem = NULL,
    tender = $2, tended_until = now() + $3
WHERE id = $1 AND status = 'INSTALLED';

-- name: emptied
-- From here on what is told is told anew.
UPDATE installation SET resets = resets + 1 WHERE id = $1 AND tender = $2 AND status = 'RESETTING';

-- name: reopened
-- The end of a reset, in the transaction that schedules its first tasks.
UPDATE installation SET status = 'INSTALLED', updated_at = now(), max_tasks = $3, problem = NULL,
    tender = NULL, tended_until = NULL
WHERE id = $1 AND status = 'RESETTING' AND tender = $2;

-- name: failed
UPDATE installation SET problem = $3 WHERE id = $1 AND tender = $2;

-- name: stop
-- Nothing of it is begun again, and whoever still runs one of these can commit nothing more. Tasks that
-- wait in line are left: nobody hands them a place any more, and there may be a million.
UPDATE task SET token = NULL, job = NULL, place = false, generation = generation + 1, next_run_at = NULL,
    running_since = NULL, status = 'STOPPED'
WHERE installation = $1 AND waiting IS NULL AND status IN ('PENDING', 'ACTIVE', 'FAILED', 'STOPPED')
  AND (token IS NOT NULL OR place OR next_run_at IS NOT NULL);

-- name: untold
-- Events must have been told before what they tell of is deleted. Those that are not in line come after all
-- that are, in the index too.
SELECT EXISTS (SELECT FROM event WHERE installation = $1 AND position > told_everywhere())
    OR EXISTS (SELECT FROM event WHERE installation = $1 AND position IS NULL);

-- name: empty
SELECT empty_installation($1, $2);

-- name: delete
DELETE FROM installation WHERE id = $1 AND status = 'UNINSTALLING';

-- name: update_config
-- Only what was read may be replaced: of two changes at once, the second is told of the first.
UPDATE installation SET config = $3, name = $4, max_tasks = $5, revision = revision + 1, updated_at = now()
WHERE id = $1 AND revision = $2 AND status IN ('INSTALLED', 'RESETTING');

-- name: schedules
-- Of these tasks, those that exist: how they are scheduled, and how they are.
SELECT id, schedule, period, status FROM task WHERE id = ANY ($1::uuid[]);

-- name: sealed
-- Of every status: one that is being installed or removed needs its config as well.
SELECT id, uuid, name, provider, config FROM installation ORDER BY id;

-- name: reseal
-- Not when it was changed meanwhile: then it was sealed anew by that.
UPDATE installation SET config = $3 WHERE id = $1 AND config = $2;
