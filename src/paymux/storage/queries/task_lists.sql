-- What is shown of tasks and runs: lists, newest first. $1 is an installation, or NULL for all of them, $2 and
-- $3 are the last row of the page before, or NULL.

-- name: list
-- A few rows of each installation, by its index, merged: one index over all tasks would cost every run.
SELECT t.id, i.provider, i.uuid, t.descriptor, t.schedule, t.status, t.paused, t.state, t.error, t.attempts,
       t.next_run_at, t.running_since, t.last_run_at, t.last_success_at, t.created_at, t.updated_at
FROM installation i CROSS JOIN LATERAL (
    SELECT * FROM task n
    WHERE n.installation = i.id AND (n.created_at, n.id) <
        (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    ORDER BY n.created_at DESC, n.id DESC LIMIT $4
) t
WHERE i.status = 'INSTALLED' AND ($1::integer IS NULL OR i.id = $1)
ORDER BY t.created_at DESC, t.id DESC LIMIT $4;

-- name: list_by_status
-- Of the statuses $5.
SELECT t.id, i.provider, i.uuid, t.descriptor, t.schedule, t.status, t.paused, t.state, t.error, t.attempts,
       t.next_run_at, t.running_since, t.last_run_at, t.last_success_at, t.created_at, t.updated_at
FROM installation i CROSS JOIN unnest($5::text[]) AS s (status) CROSS JOIN LATERAL (
    SELECT * FROM task n
    WHERE n.installation = i.id AND n.status = s.status COLLATE "C" AND (n.created_at, n.id) <
        (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    ORDER BY n.created_at DESC, n.id DESC LIMIT $4
) t
WHERE i.status = 'INSTALLED' AND ($1::integer IS NULL OR i.id = $1)
ORDER BY t.created_at DESC, t.id DESC LIMIT $4;

-- name: list_by_name
-- Of the statuses $5, of the name $6.
SELECT t.id, i.provider, i.uuid, t.descriptor, t.schedule, t.status, t.paused, t.state, t.error, t.attempts,
       t.next_run_at, t.running_since, t.last_run_at, t.last_success_at, t.created_at, t.updated_at
FROM installation i CROSS JOIN unnest($5::text[]) AS s (status) CROSS JOIN LATERAL (
    SELECT * FROM task n
    WHERE n.installation = i.id AND n.name = $6 AND n.status = s.status COLLATE "C" AND (n.created_at, n.id) <
        (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    ORDER BY n.created_at DESC, n.id DESC LIMIT $4
) t
WHERE i.status = 'INSTALLED' AND ($1::integer IS NULL OR i.id = $1)
ORDER BY t.created_at DESC, t.id DESC LIMIT $4;

-- name: get
-- With the provider and id of its installation, as in the lists.
SELECT t.id, i.provider, i.uuid, t.descriptor, t.schedule, t.status, t.paused, t.state, t.error, t.attempts,
       t.next_run_at, t.running_since, t.last_run_at, t.last_success_at, t.created_at, t.updated_at
FROM task t JOIN installation i ON i.id = t.installation
WHERE t.installation = $1 AND t.id = $2;

-- name: runs
-- Of a task, the latest first; $2 is the last one of the page before, or NULL.
SELECT id, task, started_at, ended_at, outcome, error, seen, added, changed, unchanged, aside
FROM run WHERE task = $1 AND id < coalesce($2::bigint, 9223372036854775807)
ORDER BY id DESC LIMIT $3;
