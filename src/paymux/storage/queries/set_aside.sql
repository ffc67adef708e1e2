-- Records that could not be understood.

-- name: list
-- Newest first; $2 and $3 are the last row of the page before, or NULL.
SELECT id, task, run, kind, reason, raw, seen, created_at, last_seen_at, replayed_at
FROM set_aside
WHERE installation = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC
LIMIT $4;

-- name: get
-- With the descriptor of the task that has set it aside, as in all that is to be replayed.
SELECT s.id, s.task, s.run, s.kind, s.reason, s.raw, s.seen, s.created_at, s.last_seen_at, s.replayed_at,
       t.descriptor
FROM set_aside s LEFT JOIN task t ON t.id = s.task
WHERE s.installation = $1 AND s.id = $2;

-- name: unreplayed
-- Oldest first; $2 and $3 are the last row of the batch before, or NULL.
SELECT s.id, s.kind, s.reason, s.raw, s.created_at, t.descriptor
FROM set_aside s LEFT JOIN task t ON t.id = s.task
WHERE s.installation = $1 AND s.replayed_at IS NULL
  AND ($2::timestamptz IS NULL OR (s.created_at, s.id) > ($2, $3))
ORDER BY s.created_at, s.id
LIMIT $4;

-- name: count_unreplayed
SELECT count(*) FROM set_aside WHERE installation = $1 AND replayed_at IS NULL;

-- name: replayed
UPDATE set_aside SET replayed_at = now() WHERE installation = $1 AND id = ANY ($2::uuid[]);

-- name: refused
-- Why it makes no sense now, which may be another reason than before.
UPDATE set_aside SET reason = $3, replayed_at = NULL WHERE installation = $1 AND id = $2;
