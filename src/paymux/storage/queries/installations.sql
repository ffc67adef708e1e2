-- Installations: connectors installed with a config.

-- name: migrated
-- Before the first migration there is no such table.
SELECT to_regclass('paymux.installation') IS NOT NULL;

-- name: any
SELECT EXISTS (SELECT FROM paymux.installation);

-- name: insert
INSERT INTO installation (uuid, provider, name, config, max_tasks, status)
VALUES ($1, $2, $3, $4, $5, 'INSTALLING')
RETURNING id;

-- name: installed
-- The second half of an install, in the transaction that schedules its first tasks.
UPDATE installation SET status = 'INSTALLED', updated_at = now() WHERE id = $1 AND status = 'INSTALLING';

-- name: list
-- Oldest first. Those on their way out, and those that never got in, do not exist to the outside.
SELECT id, uuid, provider, name, config, revision, max_tasks, status, created_at, updated_at
FROM installation WHERE status = 'INSTALLED' ORDER BY id;

-- name: get
SELECT id, uuid, provider, name, config, revision, max_tasks, status, created_at, updated_at
FROM installation WHERE uuid = $1 AND status = 'INSTALLED';

-- name: load
-- Whatever its status: its tasks may run while it is being installed.
SELECT id, uuid, provider, name, config, revision, max_tasks, status, created_at, updated_at
FROM installation WHERE id = $1;

-- name: names
SELECT lower(name) FROM installation WHERE status <> 'UNINSTALLING';

-- name: unfinished
-- An install or uninstall that a crash cut short.
SELECT id, uuid, provider, name, config, revision, max_tasks, status, created_at, updated_at
FROM installation WHERE status <> 'INSTALLED' ORDER BY id;

-- name: leave
UPDATE installation SET status = 'UNINSTALLING', updated_at = now() WHERE id = $1 AND status <> 'UNINSTALLING';

-- name: untold
-- Events must have been told before what they tell of is deleted.
SELECT count(*) FROM event WHERE installation = $1 AND published_at IS NULL;

-- name: delete_payments
-- In batches: a long delete holds up vacuum and, on rows, everybody else.
WITH gone AS (
    DELETE FROM payment WHERE key IN (SELECT key FROM payment WHERE installation = $1 LIMIT $2) RETURNING key
)
DELETE FROM adjustment a USING gone g WHERE a.payment = g.key;

-- name: has_payments
SELECT EXISTS (SELECT FROM payment WHERE installation = $1);

-- name: delete_accounts
WITH gone AS (
    DELETE FROM account WHERE key IN (SELECT key FROM account WHERE installation = $1 LIMIT $2) RETURNING key
)
DELETE FROM balance b USING gone g WHERE b.account = g.key;

-- name: has_accounts
SELECT EXISTS (SELECT FROM account WHERE installation = $1);

-- name: delete_runs
DELETE FROM run WHERE id IN (SELECT id FROM run WHERE installation = $1 LIMIT $2);

-- name: delete_tasks
DELETE FROM task WHERE id IN (SELECT id FROM task WHERE installation = $1 LIMIT $2);

-- name: delete_set_aside
DELETE FROM set_aside WHERE (installation, id) IN
    (SELECT installation, id FROM set_aside WHERE installation = $1 LIMIT $2);

-- name: delete_events
-- Those of payments and accounts; what happened to the installation itself stays in the feed.
DELETE FROM event WHERE seq IN (
    SELECT seq FROM event WHERE installation = $1 AND published_at IS NOT NULL AND type LIKE 'SAVED%' LIMIT $2);

-- name: delete
DELETE FROM installation WHERE id = $1 AND status = 'UNINSTALLING';
