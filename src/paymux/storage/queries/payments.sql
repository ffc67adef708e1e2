-- Payments as they are shown. A row for each report of a payment of the page, newest report first, so a
-- page is one round trip and its adjustments come along.

-- name: list
-- What stands in braces is filled in by storage/listing.py. The page is chosen first, and its rows are put
-- into the order they are shown in at the end: a page before another one is walked backwards.
WITH page AS (
    SELECT * FROM payment r
    WHERE {where}
      -- Here and not after the LIMIT: one that is being deleted must not make a page look like the last.
      AND r.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status = 'INSTALLED'))
    ORDER BY {order}
    LIMIT {limit}
)
SELECT r.key, r.reference, r.type, r.first_type, r.status, r.scheme, r.asset, r.amount, r.initial_amount,
       r.metadata, r.created_at, i.uuid AS installation, i.provider, s.reference AS source, d.reference AS destination,
       a.report, a.reference AS report_reference, a.status AS report_status, a.amount AS report_amount,
       a.reported_at, a.raw, {place}
FROM page r
JOIN installation i ON i.id = r.installation AND i.status = 'INSTALLED'
JOIN adjustment a ON a.payment = r.key
LEFT JOIN account s ON s.key = r.source
LEFT JOIN account d ON d.key = r.destination
ORDER BY {shown}, a.reported_at DESC, a.report DESC;

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

-- name: annotate
SELECT annotate_payment($1, $2::jsonb, $3);

-- name: metadata_history
-- What each report said of a key that the one before did not, and what people have set: newest first. A
-- value is NULL from when the provider no longer says it.
WITH report AS (
    SELECT a.reported_at, a.report, coalesce(a.metadata, '{}') AS said,
           lag(coalesce(a.metadata, '{}'), 1, '{}') OVER (ORDER BY a.reported_at, a.report) AS before
    FROM adjustment a WHERE a.payment = $1
)
SELECT r.reported_at AS created_at, k.key, r.said ->> k.key AS value, false AS set_here, 0 AS number
FROM report r, LATERAL jsonb_object_keys(r.said || r.before) AS k (key)
WHERE r.said -> k.key IS DISTINCT FROM r.before -> k.key
UNION ALL
SELECT n.created_at, n.key, n.value, true, n.number FROM annotation n WHERE n.payment = $1
ORDER BY created_at DESC, set_here DESC, number DESC, key
LIMIT $2;
