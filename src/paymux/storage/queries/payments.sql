-- Payments as they are shown. A row for each report of a payment of the page, newest report first, so a
-- page is one round trip and its adjustments come along.

-- name: list_next
-- $1..$2 the last payment of the page before, or NULL; the filters that are NULL do not count.
WITH page AS (
    SELECT * FROM payment p
    WHERE ($1::timestamptz IS NULL OR (p.created_at, p.key) < ($1, $2::uuid))
      AND ($3::integer IS NULL OR p.installation = $3)
      -- Here and not after the LIMIT: one that is being deleted must not make a page look like the last.
      AND p.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status = 'INSTALLED'))
      AND ($4::text IS NULL OR p.reference = $4)
      AND ($5::text IS NULL OR p.status = $5)
      AND ($6::text IS NULL OR p.type = $6)
      AND ($7::text IS NULL OR p.asset = $7)
    ORDER BY p.created_at DESC, p.key DESC
    LIMIT $8
)
SELECT p.key, p.reference, p.type, p.first_type, p.status, p.scheme, p.asset, p.amount, p.initial_amount,
       p.metadata, p.created_at, i.uuid AS installation, i.provider, s.reference AS source, d.reference AS destination,
       a.report, a.reference AS report_reference, a.status AS report_status, a.amount AS report_amount,
       a.reported_at, a.raw
FROM page p
JOIN installation i ON i.id = p.installation AND i.status = 'INSTALLED'
JOIN adjustment a ON a.payment = p.key
LEFT JOIN account s ON s.key = p.source
LEFT JOIN account d ON d.key = p.destination
ORDER BY p.created_at DESC, p.key DESC, a.reported_at DESC, a.report DESC;

-- name: list_previous
-- The page before $1, $2: the same, walked the other way and turned round by the last ORDER BY.
WITH page AS (
    SELECT * FROM payment p
    WHERE (p.created_at, p.key) > ($1, $2::uuid)
      AND ($3::integer IS NULL OR p.installation = $3)
      -- Here and not after the LIMIT: one that is being deleted must not make a page look like the last.
      AND p.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status = 'INSTALLED'))
      AND ($4::text IS NULL OR p.reference = $4)
      AND ($5::text IS NULL OR p.status = $5)
      AND ($6::text IS NULL OR p.type = $6)
      AND ($7::text IS NULL OR p.asset = $7)
    ORDER BY p.created_at, p.key
    LIMIT $8
)
SELECT p.key, p.reference, p.type, p.first_type, p.status, p.scheme, p.asset, p.amount, p.initial_amount,
       p.metadata, p.created_at, i.uuid AS installation, i.provider, s.reference AS source, d.reference AS destination,
       a.report, a.reference AS report_reference, a.status AS report_status, a.amount AS report_amount,
       a.reported_at, a.raw
FROM page p
JOIN installation i ON i.id = p.installation AND i.status = 'INSTALLED'
JOIN adjustment a ON a.payment = p.key
LEFT JOIN account s ON s.key = p.source
LEFT JOIN account d ON d.key = p.destination
ORDER BY p.created_at DESC, p.key DESC, a.reported_at DESC, a.report DESC;

-- name: get
SELECT p.key, p.reference, p.type, p.first_type, p.status, p.scheme, p.asset, p.amount, p.initial_amount,
       p.metadata, p.created_at, i.uuid AS installation, i.provider, s.reference AS source, d.reference AS destination,
       a.report, a.reference AS report_reference, a.status AS report_status, a.amount AS report_amount,
       a.reported_at, a.raw
FROM payment p
JOIN installation i ON i.id = p.installation AND i.status = 'INSTALLED'
JOIN adjustment a ON a.payment = p.key
LEFT JOIN account s ON s.key = p.source
LEFT JOIN account d ON d.key = p.destination
WHERE p.key = $1
ORDER BY a.reported_at DESC, a.report DESC;
