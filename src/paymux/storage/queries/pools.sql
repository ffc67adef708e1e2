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
-- What the accounts of a pool held at a time ($2) or hold now (NULL), summed by asset. After its last poll an
-- account holds what that said; before its first nobody knows. Each account is looked at asset by asset, from
-- the last one down, by the primary key of balances: however long its history, one look an asset. The
-- accounts in order of key, as balances are: that alone is three times as fast.
WITH RECURSIVE held AS (
    SELECT m.account, b.asset, b.amount
    FROM (
        SELECT account FROM pool_account
        WHERE pool = $1 AND installation = ANY (ARRAY(SELECT id FROM installation WHERE status = 'INSTALLED'))
        ORDER BY account
    ) m
    CROSS JOIN LATERAL (
        SELECT b.asset, b.amount FROM balance b
        WHERE b.account = m.account AND b.created_at <= coalesce($2::timestamptz, 'infinity')
        ORDER BY b.asset DESC, b.created_at DESC LIMIT 1
    ) b
    UNION ALL
    SELECT h.account, b.asset, b.amount
    FROM held h
    CROSS JOIN LATERAL (
        SELECT b.asset, b.amount FROM balance b
        WHERE b.account = h.account AND b.asset < h.asset AND b.created_at <= coalesce($2::timestamptz, 'infinity')
        ORDER BY b.asset DESC, b.created_at DESC LIMIT 1
    ) b
)
SELECT asset, sum(amount) AS amount FROM held GROUP BY asset ORDER BY asset;

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
