-- Balances of an account, as intervals.

-- name: list
-- What stands in braces is filled in by storage/listing.py; the outer order turns a page round that was
-- walked backwards.
WITH page AS (
    SELECT * FROM balance r WHERE {where} ORDER BY {order} LIMIT {limit}
)
SELECT r.asset, r.amount, r.created_at, r.last_updated_at, {place} FROM page r ORDER BY {shown};
