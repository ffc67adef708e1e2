-- Accounts as they are shown.

-- name: list
-- What stands in braces is filled in by storage/listing.py; the outer order turns a page round that was
-- walked backwards.
WITH page AS (
    SELECT * FROM account r
    WHERE {where}
      -- Here and not after the LIMIT: one that is being deleted must not make a page look like the last.
      AND r.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status = 'INSTALLED'))
    ORDER BY {order}
    LIMIT {limit}
)
SELECT r.key, r.reference, r.type, r.name, r.default_asset, r.metadata, r.raw, r.created_at,
       i.uuid AS installation, i.provider,
       ARRAY(SELECT m.pool FROM pool_account m WHERE m.account = r.key ORDER BY m.pool) AS pools, {place}
FROM page r
JOIN installation i ON i.id = r.installation AND i.status = 'INSTALLED'
ORDER BY {shown};

-- name: get
-- One account, with the pools it is in.
SELECT a.key, a.reference, a.type, a.name, a.default_asset, a.metadata, a.raw, a.created_at,
       i.uuid AS installation, i.provider,
       ARRAY(SELECT m.pool FROM pool_account m WHERE m.account = a.key ORDER BY m.pool) AS pools
FROM account a JOIN installation i ON i.id = a.installation AND i.status = 'INSTALLED' WHERE a.key = $1;

-- name: history
-- All versions of an account, newest first, and the one that holds has no end; $2 is the number of the last one
-- of the page before, or NULL. Cut before they are put together: there may be many.
(SELECT a.version, a.type, a.name, a.default_asset, a.metadata, a.raw, a.created_at, a.updated_at AS since,
        NULL::timestamptz AS until
 FROM account a WHERE a.key = $1 AND a.version > 0 AND a.version < coalesce($2::integer, 2147483647))
UNION ALL
(SELECT v.version, v.type, v.name, v.default_asset, v.metadata, v.raw, v.created_at, v.since, v.until
 FROM account_version v WHERE v.account = $1 AND v.version < coalesce($2::integer, 2147483647)
 ORDER BY v.version DESC LIMIT $3)
ORDER BY version DESC LIMIT $3;
