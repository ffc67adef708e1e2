-- Balances of an account, as intervals.

-- name: list
-- What stands in braces is filled in by storage/listing.py; the outer order turns a page round that was
-- walked backwards.
WITH page AS (
    SELECT * FROM balance r WHERE {where} ORDER BY {order} LIMIT {limit}
)
SELECT r.asset, r.amount, r.created_at, r.last_updated_at, {place} FROM page r ORDER BY {shown};

-- name: held
-- What each of these accounts ($1) held at a time ($2) or holds now (NULL), an asset a row. After its last
-- poll an account holds what that said; before its first nobody knows.
SELECT DISTINCT ON (b.account, b.asset) b.account, b.asset, b.amount, b.created_at, b.last_updated_at
FROM balance b
WHERE b.account = ANY ($1::uuid[]) AND ($2::timestamptz IS NULL OR b.created_at <= $2)
ORDER BY b.account, b.asset, b.created_at DESC;
