-- Records that could not be understood.

-- name: list
SELECT id, task, run, kind, reason, raw, seen, created_at, last_seen_at
FROM set_aside
WHERE installation = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC
LIMIT $4;
