-- Statements that bring pages in. What they do is in functions/pages.sql.

-- name: fresh_payments
SELECT fresh_payments($1, $2);

-- name: commit_page
-- The whole page, one round trip.
SELECT added, changed FROM commit_page($1, $2, $3, $4, $5, $6, $7, $8);
