-- Money out. What each of these does is in functions/transfers.sql and
-- transfer_attempts.sql.

-- name: list
-- What stands in braces is filled in by storage/listing.py. The page is chosen first.
WITH page AS (
    SELECT * FROM transfer r
    WHERE {where}
      AND r.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status IN ('INSTALLED', 'RESETTING')))
    ORDER BY {order}
    LIMIT {limit}
)
SELECT r.key, r.reference, r.type, r.description, r.amount, r.reversed, r.asset, r.source_reference,
       r.destination_reference, r.metadata, r.scheduled_at, r.created_at, r.status, r.error,
       i.uuid AS installation, i.provider, {place}
FROM page r JOIN installation i ON i.id = r.installation
ORDER BY {shown};

-- name: unknown
-- As `list`, of those that nobody can say what became of, with all that is known of the last attempt.
WITH page AS (
    SELECT * FROM transfer r
    WHERE {where} AND r.status IN ('UNKNOWN', 'REVERSE_UNKNOWN')
      AND r.installation = ANY (ARRAY(SELECT i.id FROM installation i WHERE i.status IN ('INSTALLED', 'RESETTING')))
    ORDER BY {order}
    LIMIT {limit}
)
SELECT r.key, r.reference, r.type, r.description, r.amount, r.reversed, r.asset, r.source_reference,
       r.destination_reference, r.metadata, r.scheduled_at, r.created_at, r.status, r.error,
       i.uuid AS installation, i.provider, r.due_at, a.number AS attempt, a.key AS idempotency_key, a.handle, a.sends,
       a.looks, a.sent_at, a.unknown_at, a.looked_up_at, a.error AS looked_up_error, a.stuck, a.accepted,
       v.reference AS reversal, v.amount AS reversal_amount, {place}
FROM page r
JOIN installation i ON i.id = r.installation
JOIN transfer_attempt a ON a.transfer = r.key AND a.number = r.attempts
LEFT JOIN transfer_reversal v ON v.key = a.reversal
ORDER BY {shown};

-- name: get
-- One order with what happened to it, newest first, and the payments that came of it. Times within the JSON are
-- in UTC, as the session is.
SELECT t.key, t.reference, t.type, t.description, t.amount, t.reversed, t.asset, t.source, t.source_reference,
       t.destination, t.destination_reference, t.metadata, t.validated, t.scheduled_at, t.created_at, t.status,
       t.error, t.attempts, i.uuid AS installation, i.provider, i.id AS installation_key, i.status AS installation_status,
       (SELECT json_agg(json_build_object('number', a.number, 'status', a.status, 'error', a.error, 'note', a.note,
                                          'createdAt', a.created_at) ORDER BY a.number DESC)
        FROM transfer_adjustment a WHERE a.transfer = t.key) AS history,
       (SELECT coalesce(json_agg(json_build_object('reference', p.reference, 'type', p.type, 'status', p.status,
                                                   'error', p.error, 'createdAt', p.created_at)
                                 ORDER BY p.created_at, p.payment), '[]')
        FROM transfer_payment p WHERE p.transfer = t.key) AS payments
FROM transfer t
JOIN installation i ON i.id = t.installation AND i.status IN ('INSTALLED', 'RESETTING')
WHERE t.key = $1;

-- name: create
SELECT * FROM create_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: judge
SELECT * FROM judge_transfer($1, $2, $3, $4);

-- name: retry
SELECT * FROM retry_transfer($1, $2, $3, $4);

-- name: reverse
SELECT * FROM reverse_transfer($1, $2, $3, $4, $5, $6, $7, $8);

-- name: delete
SELECT delete_transfer($1);

-- name: settle
SELECT settle_transfer($1, $2, $3, $4, $5, $6);

-- name: begin
SELECT what, token, installation, revision, attempt FROM begin_transfer($1, $2, $3);

-- name: attempt
-- All that a connector is told of an attempt, and what is known of it; of a reversal, with the order's own
-- attempt that was paid, and its payment; of an order that is tried again, with the attempt before.
SELECT i.uuid AS installation, i.provider, t.reference, t.type, t.amount, t.asset, t.source_reference,
       t.destination_reference, t.description, t.metadata, t.created_at, a.number, a.key, a.sends, a.looks,
       a.state, a.accepted, clock_timestamp() - a.unknown_at AS unknown_for, a.refused,
       coalesce(a.revision <> i.revision, false) AS changed,
       EXISTS (SELECT FROM transfer_adjustment h
               WHERE h.transfer = t.key AND h.event = 'LOSE' AND h.created_at >= a.created_at) AS doubted,
       v.reference AS reversal, v.amount AS reversal_amount, v.description AS reversal_description,
       v.metadata AS reversal_metadata, o.number AS order_number, o.key AS order_key,
       CASE WHEN v.key IS NOT NULL THEN payment_of_transfer(t.key) END AS payment,
       f.number AS former_number, f.key AS former_key
FROM transfer t
JOIN installation i ON i.id = t.installation
JOIN transfer_attempt a ON a.transfer = t.key AND a.number = $2
LEFT JOIN transfer_reversal v ON v.key = a.reversal
LEFT JOIN LATERAL (
    SELECT number, key FROM transfer_attempt WHERE transfer = t.key AND reversal IS NULL ORDER BY number DESC LIMIT 1
) o ON true
LEFT JOIN LATERAL (
    SELECT number, key FROM transfer_attempt
    WHERE transfer = t.key AND reversal IS NULL AND a.reversal IS NULL AND number < a.number ORDER BY number DESC LIMIT 1
) f ON true
WHERE t.key = $1;

-- name: finish
SELECT * FROM finish_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: link_late
SELECT link_late($1, $2, $3, $4, $5, $6);

-- name: neglected
-- Due for so long that they should be in somebody's hands; those of an installation that is paused wait.
SELECT t.key AS id, t.generation, t.job FROM transfer t
JOIN installation i ON i.id = t.installation
WHERE t.due_at < now() - $1::interval AND i.status = 'INSTALLED' AND places_of(i) > 0
ORDER BY t.due_at LIMIT 1000;

-- name: recover
SELECT recover_transfer($1, $2);

-- name: at_the_provider
SELECT transfers_at_the_provider($1);

-- name: empty
SELECT empty_transfers($1, $2);

-- name: accounts
-- Which of these accounts there are, and what kind each is.
SELECT key, type FROM account WHERE key = ANY ($1::uuid[]) AND installation = $2;
