-- Statements that bring pages in. What they do is in functions/pages.sql.

-- name: fresh_payments
SELECT fresh_payments($1, $2, $3, $4, $5);

-- name: commit_pages
-- Small pages of several runs, one round trip and one transaction.
SELECT p.added, p.changed
FROM generate_subscripts($1::integer[], 1) AS n,
     LATERAL commit_page(($1::integer[])[n], ($2::uuid[])[n], ($3::bigint[])[n], ($4::text[])[n],
                         ($5::account_page[])[n], ($6::balance_page[])[n], ($7::payment_page[])[n],
                         ($8::aside_page[])[n]) AS p
ORDER BY n;

-- name: commit_payments
-- The same, where they hold payments and nothing else.
SELECT added_keys, filed_keys FROM commit_payments($1, $2, $3, $4);

-- name: commit_page
-- The whole page, one round trip.
SELECT added, changed FROM commit_page($1, $2, $3, $4, $5, $6, $7, $8);
