-- The outbox: written with the change, put in line when it is committed, told from there.

-- name: insert
INSERT INTO event (installation, type, object, part, facts) VALUES ($1, $2, $3, $4, $5);

-- name: line_up
SELECT line_up($1);

-- name: after
-- The next in line, for a sink, but for those that it has beyond.
SELECT seq FROM event WHERE position > $1 AND position <> ALL ($3::bigint[]) ORDER BY position LIMIT $2;

-- name: after_within
-- The next in line up to a place, of some types: what is looked through is bounded, however rare they are.
SELECT seq FROM event WHERE position > $1 AND position <= $2 AND type = ANY ($3::text[]) ORDER BY position LIMIT $4;

-- name: after_of
-- The next in line of one installation, of all types or of some.
SELECT seq FROM event
WHERE installation = $1 AND position > $2 AND ($3::text[] IS NULL OR type = ANY ($3)) ORDER BY position LIMIT $4;

-- name: described
-- With what their payloads are made of, in line: the first of them, and those that come to $2 bytes with it.
SELECT * FROM (SELECT e.seq, e.position, e.type, e.object, e.part, e.facts, e.created_at, i.uuid AS installation, i.provider,
       i.resets, p.reference, p.first_type, p.created_at AS payment_created_at,
       -- Of a report that was in another asset: what that report says.
       CASE a.asset WHEN p.asset THEN p.initial_amount ELSE coalesce(a.initial_amount, a.amount) END AS initial_amount,
       a.type AS payment_type, a.status, a.scheme, a.asset, a.amount,
       -- As people had set it by then, where they had.
       coalesce(CASE e.type WHEN 'SAVED_PAYMENT' THEN e.facts::json ->> 'metadata' END, a.metadata::text) AS metadata, a.raw,
       s.reference AS source, d.reference AS destination, n.reference AS account,
       z.size, sum(z.size) OVER (ORDER BY e.position) AS until
FROM event e
LEFT JOIN installation i ON i.id = e.installation
LEFT JOIN payment p ON p.key = e.object AND e.type = 'SAVED_PAYMENT'
-- The report that a payment's event tells of: its part, unless people's metadata came between.
LEFT JOIN adjustment a ON a.payment = p.key AND a.report = CASE e.type
    WHEN 'SAVED_PAYMENT' THEN coalesce((e.facts::json ->> 'report')::uuid, e.part) END
CROSS JOIN LATERAL (SELECT coalesce(octet_length(a.raw), 0) + coalesce(octet_length(e.facts), 0)
    + coalesce(octet_length(a.metadata::text), 0) AS size) z
LEFT JOIN account s ON s.key = a.source
LEFT JOIN account d ON d.key = a.destination
LEFT JOIN account n ON n.key = e.object AND e.type IN ('SAVED_ACCOUNT', 'SAVED_BALANCE')
WHERE e.seq = ANY ($1::bigint[])) d
WHERE until <= $2 OR until = size
ORDER BY position;

-- name: ends
-- The last place given, and the last one whose event was deleted for its age.
SELECT last, pruned FROM outbox;

-- name: prune
SELECT prune_events($1, $2);
