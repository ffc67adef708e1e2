-- Statements that bring pages in. What they do is in functions/pages.sql.

-- name: fresh_payments
-- The steady state is a poll that brings nothing new: before a large page is sent whole, ask which of
-- its reports differ from what the payments' latest reports say. By key and 16-byte hash: 200,000/s.
SELECT coalesce(array_agg(i.ord), '{}')
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS i (key, hash, ord)
LEFT JOIN payment p ON p.key = i.key
WHERE p.hash IS DISTINCT FROM i.hash;

-- name: commit_page
-- The whole page, one round trip.
SELECT added, changed FROM commit_page($1, $2, $3, $4, $5, $6, $7, $8);
