-- Pools: accounts that people look at together. What an installation has brought in is there while that is
-- open: an account of one that is being emptied is not shown, and counts for nothing.

-- name: list
-- What stands in braces is filled in by storage/listing.py; the outer order turns a page round that was
-- walked backwards.
WITH page AS (
    SELECT * FROM pool r WHERE {where} ORDER BY {order} LIMIT {limit}
)
SELECT r.id, r.name, r.created_at, {place} FROM page r ORDER BY {shown};

-- name: get
SELECT id, name, created_at FROM pool WHERE id = $1;

-- name: hold
-- Whoever changes a pool holds it, so its events come in the order of its changes.
SELECT id, name, created_at FROM pool WHERE id = $1 FOR UPDATE;

-- name: accounts
-- Of each of these pools, $2 at most; NULL for all. Of all together $3.
SELECT p.pool, m.reference, m.installation, m.provider
FROM unnest($1::uuid[]) AS p (pool)
CROSS JOIN LATERAL (
    SELECT m.account, a.reference, i.uuid AS installation, i.provider
    FROM pool_account m
    JOIN account a ON a.key = m.account
    JOIN installation i ON i.id = m.installation AND i.status = 'INSTALLED'
    WHERE m.pool = p.pool
    ORDER BY m.account
    LIMIT $2
) m
ORDER BY p.pool, m.account
LIMIT $3;

-- name: balances
SELECT asset, amount FROM pool_balances($1, $2);

-- name: known
-- Of these accounts those that there are. Their installations are kept from going until the transaction ends.
SELECT a.key, a.installation, i.provider
FROM account a JOIN installation i ON i.id = a.installation AND i.status = 'INSTALLED'
WHERE a.key = ANY ($1::uuid[])
FOR KEY SHARE OF i;

-- name: insert
INSERT INTO pool (id, name) VALUES ($1, $2) RETURNING id, name, created_at;

-- name: add
-- One that is in it already is left.
INSERT INTO pool_account (pool, account, installation)
SELECT $1, n.account, n.installation
FROM unnest($2::uuid[], $3::integer[]) AS n (account, installation)
ON CONFLICT DO NOTHING;

-- name: count
SELECT count(*) FROM pool_account WHERE pool = $1;

-- name: remove
DELETE FROM pool_account WHERE pool = $1 AND account = $2;

-- name: delete
DELETE FROM pool WHERE id = $1;
