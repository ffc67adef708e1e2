-- Bank accounts, each with the accounts that providers have made of it: a row for each of those, or one. An
-- account that is gone, or whose installation is not open, is not shown.

-- name: list
-- What stands in braces is filled in by storage/listing.py. The page is chosen first, and its rows are put
-- into the order they are shown in at the end: a page before another one is walked backwards.
WITH page AS (
    SELECT * FROM bank_account r WHERE {where} ORDER BY {order} LIMIT {limit}
)
SELECT r.id, r.name, r.country, r.shown_iban, r.shown_account_number, r.bic, r.metadata, r.version, r.created_at,
       f.id AS forward, f.related_at, a.reference AS account, i.uuid AS installation, i.provider, {place}
FROM page r
LEFT JOIN (bank_account_forward f
           JOIN account a ON a.key = f.account
           JOIN installation i ON i.id = f.installation AND i.status = 'INSTALLED') ON f.bank_account = r.id
ORDER BY {shown}, f.related_at, f.id;

-- name: get
-- One of them.
SELECT r.id, r.name, r.country, r.shown_iban, r.shown_account_number, r.bic, r.metadata, r.version, r.created_at,
       f.id AS forward, f.related_at, a.reference AS account, i.uuid AS installation, i.provider
FROM bank_account r
LEFT JOIN (bank_account_forward f
           JOIN account a ON a.key = f.account
           JOIN installation i ON i.id = f.installation AND i.status = 'INSTALLED') ON f.bank_account = r.id
WHERE r.id = $1
ORDER BY f.related_at, f.id;

-- name: insert
INSERT INTO bank_account (id, name, country, numbers, shown_iban, shown_account_number, bic, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: hold
-- Whoever changes one holds it, so its events come in the order of its changes.
SELECT metadata FROM bank_account WHERE id = $1 FOR UPDATE;

-- name: describe
UPDATE bank_account SET metadata = $2 WHERE id = $1;

-- name: changed
-- Each change is told as an event of its own.
UPDATE bank_account SET version = version + 1 WHERE id = $1;

-- name: sealed
-- By another key than what begins with $1. In batches, by id; $2 is the last one of the batch before, or NULL.
SELECT id, numbers FROM bank_account
WHERE substr(numbers, 1, length($1::bytea)) <> $1 AND ($2::uuid IS NULL OR id > $2)
ORDER BY id LIMIT $3;

-- name: reseal
UPDATE bank_account SET numbers = $3 WHERE id = $1 AND numbers = $2;

-- name: open
SELECT name, country, numbers, bic FROM bank_account WHERE id = $1;

-- name: begin
-- What will be sent, and under which key, before it is. The installation is kept from going meanwhile.
WITH open AS (
    SELECT i.id FROM installation i WHERE i.id = $2 AND i.status = 'INSTALLED' FOR KEY SHARE
)
INSERT INTO bank_account_forward (bank_account, installation, id, idempotency_key, metadata)
SELECT b.id, open.id, $3, $4, b.metadata FROM bank_account b, open WHERE b.id = $1
ON CONFLICT DO NOTHING;

-- name: forward
-- How far it has come. ``there`` says that the account it has become is.
SELECT f.attempt, f.refused, f.idempotency_key, f.metadata, a.key IS NOT NULL AS there
FROM bank_account_forward f LEFT JOIN account a ON a.key = f.account
WHERE f.bank_account = $1 AND f.installation = $2;

-- name: anew
-- After a refusal, with the metadata of now: that may be what was wrong.
UPDATE bank_account_forward f
SET attempt = $3, idempotency_key = $4, refused = false, metadata = b.metadata
FROM bank_account b
WHERE b.id = f.bank_account AND f.bank_account = $1 AND f.installation = $2;

-- name: refused
UPDATE bank_account_forward SET refused = true WHERE bank_account = $1 AND installation = $2;

-- name: relate
-- Since when it is the account's stays when it is found again, such as after a reset.
UPDATE bank_account_forward SET account = $3, related_at = coalesce(related_at, now())
WHERE bank_account = $1 AND installation = $2;
