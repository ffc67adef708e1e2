-- Tasks: scheduling and bookkeeping (the functions are in functions/tasks.sql).

-- name: schedule_tasks
-- One row for each job that must be handed to the engine in the same transaction.
SELECT task, generation, delay FROM schedule_tasks($1, $2, $3, $4, $5, $6, $7, $8);

-- name: begin_run
-- No row: there is nothing to do.
SELECT task, token, installation, revision, descriptor, state, attempts, cancelled, crashes, delay FROM begin_run($1, $2, $3);

-- name: finish_run
SELECT what, task, generation, delay, token, installation, revision, descriptor, state, attempts, false AS cancelled,
       0 AS crashes
FROM finish_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: finish_runs
-- Runs that went well, many at once.
SELECT what, task, token, installation, revision, descriptor, state, attempts, false AS cancelled,
       0 AS crashes, delay
FROM finish_runs($1, $2, $3, $4, $5, $6, $7, $8);

-- name: holds
-- Whether a run holds its task until the end of this transaction.
SELECT FROM task WHERE id = $1 AND token = $2 AND NOT cancelled FOR SHARE;

-- name: dismissed
-- Of runs (task, token), those that were told to stop or have lost their task.
SELECT r.token FROM unnest($1::uuid[], $2::bigint[]) AS r (task, token)
WHERE NOT EXISTS (SELECT FROM task t WHERE t.id = r.task AND t.token = r.token AND NOT t.cancelled);

-- name: neglected_tasks
-- Tasks that should be in somebody's hands; whether they are, the engine knows. After some seconds: until
-- then it is only a slow one. By index: there may be millions that are finished.
SELECT id, generation, job, token FROM task
WHERE job IS NOT NULL AND token IS NOT NULL AND running_since < now() - interval '10 seconds'
UNION ALL
SELECT t.id, t.generation, t.job, t.token FROM installation i CROSS JOIN LATERAL (
    SELECT * FROM task n
    WHERE n.installation = i.id AND n.status IN ('PENDING', 'ACTIVE', 'FAILED')
      AND n.token IS NULL AND n.waiting IS NULL AND NOT n.paused AND n.next_run_at < now() - interval '10 seconds'
) t
WHERE i.status IN ('INSTALLING', 'INSTALLED')
LIMIT 10000;

-- name: recover_task
SELECT task, generation, delay FROM recover_task($1, $2);

-- name: scheduled_after
-- In the transaction that scheduled a task: the run after which the one comes that was asked for, or no
-- row when the task was left alone.
SELECT coalesce(t.token, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM run_number))
FROM task t WHERE t.id = $1 AND t.xmin = pg_current_xact_id()::xid;

-- name: progress
-- For somebody who waits for the run after $2. One that a worker gave back or died in goes on as another.
SELECT t.status, r.outcome, r.error, places_of(i) = 0 AS halted
FROM task t JOIN installation i ON i.id = t.installation LEFT JOIN LATERAL (
    SELECT outcome, error FROM run WHERE task = t.id AND id > $2 AND outcome IN ('SUCCEEDED', 'FAILED', 'STOPPED')
    ORDER BY id LIMIT 1
) r ON true
WHERE t.id = $1;

-- name: prune_runs
-- Of the oldest runs, those that ended long ago. By number, which is the order of their starts; so the few
-- among the first that took long delay nobody. Two who prune at once take the rows in the same order.
DELETE FROM run WHERE id = ANY (ARRAY(
    SELECT o.id FROM (SELECT id, ended_at FROM run ORDER BY id LIMIT $2) o
    WHERE o.ended_at < now() - $1::interval ORDER BY o.id));
