-- Sinks: how far each has come, what it has refused, and how it is doing.

-- name: declare
-- Those that the settings name. The first there are begin at the beginning, a new one beside others with what
-- is not in line yet; one that was there before goes on where it was.
INSERT INTO sink (name, position)
SELECT named, CASE WHEN EXISTS (SELECT FROM sink) THEN outbox.last ELSE 0 END FROM unnest($1::text[]) AS named, outbox
ON CONFLICT (name) DO UPDATE SET active = true WHERE NOT sink.active;

-- name: retire
-- All others. What they have refused stays, in case they come back.
UPDATE sink SET active = false, error = NULL, failing_since = NULL WHERE active AND name <> ALL ($1::text[]);

-- name: lead
-- One relay a sink at a time: two would tell an object's events out of order. Held by the connection.
SELECT pg_try_advisory_lock(hashtext('paymux relay'), hashtext($1));

-- name: step_down
SELECT pg_advisory_unlock(hashtext('paymux relay'), hashtext($1));

-- name: by_key
-- Plans are kept as long as the connection, also those made while the tables were nearly empty: whoever
-- leads looks everything up by key, however little that would save today.
SELECT set_config('enable_seqscan', $1, false), set_config('enable_hashjoin', $1, false),
       set_config('enable_mergejoin', $1, false);

-- name: position
SELECT position FROM sink WHERE name = $1;

-- name: told
UPDATE sink SET position = $2, error = NULL, failing_since = NULL WHERE name = $1;

-- name: failing
UPDATE sink SET error = $2, failing_since = coalesce(failing_since, now()) WHERE name = $1;

-- name: refuse
-- One refused event a row, to be offered again after a while.
INSERT INTO refused_event (sink, key, type, object, body, reason, retry_at)
SELECT $1, r.key, r.type, r.object, r.body, r.reason, now() + $2
FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[]) AS r (key, type, object, body, reason)
ON CONFLICT (sink, key) DO UPDATE SET reason = excluded.reason, retry_at = excluded.retry_at, attempts = 1;

-- name: due
-- Refused ones whose time has come again.
SELECT id, key, type, object, body, attempts FROM refused_event
WHERE sink = $1 AND retry_at <= now() ORDER BY retry_at LIMIT $2;

-- name: taken
DELETE FROM refused_event WHERE id = ANY ($1::bigint[]);

-- name: refused_again
-- Without a time they are dead letters. A sink that was down has refused nothing.
UPDATE refused_event e
SET attempts = e.attempts + r.counts::integer, reason = r.reason, retry_at = now() + r.wait
FROM unnest($1::bigint[], $2::text[], $3::interval[], $4::boolean[]) AS r (id, reason, wait, counts)
WHERE e.id = r.id;

-- name: dead
-- Dead letters, newest first, of all sinks or of one; $1 is the last one of the page before, or NULL.
SELECT id, sink, key, type, body, reason, attempts, refused_at FROM refused_event
WHERE retry_at IS NULL AND ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR sink = $2)
ORDER BY id DESC
LIMIT $3;

-- name: prune
-- Dead letters that nobody has wanted for so long, some of them.
DELETE FROM refused_event WHERE id = ANY (ARRAY(
    SELECT id FROM refused_event WHERE retry_at IS NULL AND refused_at < now() - $1::interval ORDER BY id LIMIT $2));

-- name: requeue
-- One of them, all of a sink, or all: offered again at once, as if for the first time. Up to so many.
UPDATE refused_event SET retry_at = now(), attempts = 0 WHERE id = ANY (ARRAY(
    SELECT id FROM refused_event
    WHERE retry_at IS NULL AND ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR sink = $2)
    ORDER BY id LIMIT $3));

-- name: backlog
-- How far behind each sink is that the settings name, counted up to a limit: behind one that has been down for days there
-- may be millions. First those in line, then those not yet.
SELECT s.name, s.error, s.failing_since, w.waiting,
       coalesce(extract(epoch FROM now() - coalesce(
           (SELECT e.created_at FROM event e WHERE e.position > s.position ORDER BY e.position LIMIT 1),
           (SELECT e.created_at FROM event e WHERE e.position IS NULL ORDER BY e.seq LIMIT 1))), 0)::float8 AS oldest,
       (SELECT count(*) FROM (SELECT FROM refused_event r WHERE r.sink = s.name AND r.retry_at IS NOT NULL LIMIT $1) AS c)
           AS refused,
       (SELECT count(*) FROM (SELECT FROM refused_event r WHERE r.sink = s.name AND r.retry_at IS NULL LIMIT $1) AS c)
           AS dead
FROM sink s, LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT FROM (SELECT FROM event e WHERE e.position > s.position LIMIT $1) AS l
        UNION ALL SELECT FROM (SELECT FROM event e WHERE e.position IS NULL LIMIT $1) AS n LIMIT $1) AS b
) AS w
WHERE s.active ORDER BY s.name;
