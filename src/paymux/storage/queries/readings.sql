-- What metrics show of the database, read whenever somebody looks: each by an index of its own, so that
-- it costs what waits and not what there is.

-- name: outbox
-- What some sink does not have yet. Counted up to a limit: behind one that has been down for days there may be millions.
SELECT (SELECT count(*) FROM (
            SELECT FROM (SELECT FROM event WHERE position > told.everywhere LIMIT $1) AS in_line
            UNION ALL SELECT FROM (SELECT FROM event WHERE position IS NULL LIMIT $1) AS beside LIMIT $1) AS capped) AS waiting,
       coalesce(extract(epoch FROM now() - coalesce(
           (SELECT created_at FROM event WHERE position > told.everywhere ORDER BY position LIMIT 1),
           (SELECT created_at FROM event WHERE position IS NULL ORDER BY seq LIMIT 1))), 0)::float8 AS oldest
FROM (SELECT told_everywhere() AS everywhere) AS told;

-- name: transfers
-- By provider: orders that nobody can say what became of, and those of them that looking up has not helped.
-- None for one that has none.
SELECT i.provider, count(t.key) AS unknown, count(t.key) FILTER (WHERE a.stuck) AS stuck
FROM installation i
LEFT JOIN transfer t ON t.installation = i.id AND t.status IN ('UNKNOWN', 'REVERSE_UNKNOWN')
LEFT JOIN transfer_attempt a ON a.transfer = t.key AND a.number = t.attempts
WHERE i.status IN ('INSTALLED', 'RESETTING')
GROUP BY i.provider;

-- name: tasks
-- By provider: tasks that wait for one of the installation's places, those that run in one, and for how
-- long the first in line has been due.
SELECT i.provider, sum(w.waiting)::bigint AS waiting, sum(p.running)::bigint AS running,
       max(w.oldest)::float8 AS oldest, count(*) AS installations
FROM installation i,
     LATERAL (SELECT count(*) AS waiting, extract(epoch FROM now() - min(t.next_run_at)) AS oldest
              FROM (SELECT next_run_at FROM task t WHERE t.installation = i.id AND t.waiting IS NOT NULL
                    ORDER BY t.waiting LIMIT $1) AS t) AS w,
     LATERAL (SELECT count(*) AS running FROM task t WHERE t.installation = i.id AND t.place AND t.token IS NOT NULL) AS p
WHERE i.status = 'INSTALLED'
GROUP BY i.provider;
