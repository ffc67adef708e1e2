-- How installations and the whole are doing.

-- name: all
-- One row an installation, oldest first. By index, and further only where something has failed.
SELECT i.id, i.uuid, i.provider, i.name, i.paused, i.login_error, f.failed,
       f.failed AND EXISTS (SELECT FROM task t WHERE t.installation = i.id AND t.schedule = 'EVERY'
           AND t.status = 'FAILED' AND t.fault IS DISTINCT FROM 'CONFIG') AS beat_failed,
       f.failed AND EXISTS (SELECT FROM task t WHERE t.installation = i.id AND t.schedule = 'EVERY'
           AND t.status IN ('ACTIVE', 'PENDING')) AS beat_well
FROM installation i, LATERAL (
    SELECT EXISTS (SELECT FROM task t WHERE t.installation = i.id AND t.status = 'FAILED') AS failed
) f
WHERE i.status = 'INSTALLED' AND ($1::integer IS NULL OR i.id = $1)
ORDER BY i.id;

-- name: counts
-- Tasks by status.
SELECT status, count(*) AS count FROM task WHERE installation = $1 GROUP BY status;

-- name: times
-- The last good run (of one that was pruned, its task knows), the next one, and since when the one that has
-- waited longest has been due. A task that waits in line came due when it joined, so the first is the oldest.
SELECT greatest(
           (SELECT ended_at FROM run WHERE installation = $1 AND outcome = 'SUCCEEDED' ORDER BY id DESC LIMIT 1),
           (SELECT max(last_success_at) FROM task WHERE installation = $1 AND schedule = 'EVERY'),
           (SELECT last_success_at FROM task WHERE installation = $1 AND status = 'TERMINATED'
            ORDER BY created_at DESC, id DESC LIMIT 1)
       ) AS last_success_at,
       least(own.next_run_at, placed.next_run_at, line.next_run_at) AS next_run_at,
       extract(epoch FROM now() - least(own.due_at, placed.next_run_at, line.next_run_at, now()))::float8 AS lag_seconds
FROM (SELECT min(next_run_at) AS next_run_at, min(next_run_at) FILTER (WHERE next_run_at < now()) AS due_at
      FROM task
      WHERE installation = $1 AND status IN ('ACTIVE', 'FAILED') AND token IS NULL AND next_run_at IS NOT NULL
     ) own
CROSS JOIN (SELECT min(next_run_at) AS next_run_at FROM task
            WHERE installation = $1 AND place AND token IS NULL) placed
LEFT JOIN (SELECT next_run_at FROM task WHERE installation = $1 AND waiting IS NOT NULL
           ORDER BY waiting LIMIT 1) line ON true;

-- name: failing
-- Those that keep failing first, then the latest.
SELECT id, name, error, attempts, next_run_at, fault
FROM task WHERE installation = $1 AND status = 'FAILED'
ORDER BY attempts DESC, last_run_at DESC LIMIT $2;

-- name: config_error
-- What a run said last about the config that can never work.
SELECT error FROM task WHERE installation = $1 AND status = 'FAILED' AND fault = 'CONFIG'
ORDER BY last_run_at DESC LIMIT 1;

-- name: set_aside
SELECT count(*) FROM set_aside WHERE installation = $1 AND replayed_at IS NULL;
