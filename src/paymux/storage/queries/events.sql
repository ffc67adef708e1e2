-- The outbox.

-- name: insert
INSERT INTO event (installation, type, object, part, facts) VALUES ($1, $2, $3, $4, $5);

-- name: lead
-- One relay at a time: two would tell an object's events out of order. Held by the connection.
SELECT pg_try_advisory_lock(hashtext('paymux relay'));

-- name: step_down
SELECT pg_advisory_unlock(hashtext('paymux relay'));

-- name: by_key
-- Plans are kept as long as the connection, also those made while the tables were nearly empty: whoever
-- leads looks everything up by key, however little that would save today.
SELECT set_config('enable_seqscan', $1, false), set_config('enable_hashjoin', $1, false),
       set_config('enable_mergejoin', $1, false);

-- name: waiting
-- Oldest first. What waits is found by the flag and not by a position that has been reached: a
-- transaction that commits late has a number lower than what was told before it. The batch comes
-- first: joined before it is cut, a million that wait would be read for every thousand that are told.
WITH batch AS MATERIALIZED (
    SELECT seq, installation, type, object, part, facts, created_at,
           -- The report that a payment's event tells of: its part, unless people's metadata came between.
           CASE type WHEN 'SAVED_PAYMENT' THEN coalesce((facts::json ->> 'report')::uuid, part) END AS report,
           CASE type WHEN 'SAVED_PAYMENT' THEN facts::json ->> 'metadata' END AS metadata
    FROM event
    WHERE published_at IS NULL
    ORDER BY seq
    LIMIT $1
)
SELECT e.seq, e.type, e.object, e.part, e.facts, e.created_at, i.uuid AS installation, i.provider, i.resets,
       p.reference, p.first_type, p.created_at AS payment_created_at, p.initial_amount,
       a.type AS payment_type, a.status, a.scheme, a.asset, a.amount, coalesce(e.metadata, a.metadata::text) AS metadata, a.raw,
       s.reference AS source, d.reference AS destination, n.reference AS account
FROM batch e
LEFT JOIN installation i ON i.id = e.installation
LEFT JOIN payment p ON p.key = e.object AND e.type = 'SAVED_PAYMENT'
LEFT JOIN adjustment a ON a.payment = p.key AND a.report = e.report
LEFT JOIN account s ON s.key = a.source
LEFT JOIN account d ON d.key = a.destination
LEFT JOIN account n ON n.key = e.object AND e.type IN ('SAVED_ACCOUNT', 'SAVED_BALANCE')
ORDER BY e.seq;

-- name: told
UPDATE event SET published_at = now(), attempts = attempts + 1 WHERE seq = ANY ($1::bigint[]);

-- name: refused
UPDATE event SET attempts = attempts + 1 WHERE seq = ANY ($1::bigint[]);
