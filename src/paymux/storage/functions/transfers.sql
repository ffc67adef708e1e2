-- Money out. Each function locks the order's row and lets happen what the table of transitions allows;
-- status, adjustment and event are one step. What the order does not allow is refused with PX003 and a
-- sentence for whoever asked, a wrong value with PX004, an order that is not there with PX005, and with
-- PX002 what somebody says who is no longer at it.

-- What follows from an event: the same table as domain/transfer.py has. NULL: it does not belong here.
CREATE FUNCTION next_transfer_status(p_status text, p_event text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT t.next FROM (VALUES
        ('WAITING_FOR_VALIDATION', 'APPROVE', 'VALIDATED'),
        ('WAITING_FOR_VALIDATION', 'REJECT', 'REJECTED'),
        ('VALIDATED', 'SEND', 'PROCESSING'),
        ('ASK_RETRIED', 'SEND', 'PROCESSING'),
        ('PROCESSING', 'LOSE', 'UNKNOWN'),
        ('PROCESSING', 'PROCESS', 'PROCESSED'),
        ('PROCESSING', 'FAIL', 'FAILED'),
        ('UNKNOWN', 'CLEAR', 'PROCESSING'),
        ('UNKNOWN', 'PROCESS', 'PROCESSED'),
        ('UNKNOWN', 'FAIL', 'FAILED'),
        ('FAILED', 'RETRY', 'ASK_RETRIED'),
        ('PROCESSED', 'REVERSE', 'ASK_REVERSED'),
        ('PARTIALLY_REVERSED', 'REVERSE', 'ASK_REVERSED'),
        ('REVERSE_FAILED', 'REVERSE', 'ASK_REVERSED'),
        ('ASK_REVERSED', 'SEND', 'REVERSE_PROCESSING'),
        ('REVERSE_PROCESSING', 'LOSE', 'REVERSE_UNKNOWN'),
        ('REVERSE_PROCESSING', 'REVERSE_PART', 'PARTIALLY_REVERSED'),
        ('REVERSE_PROCESSING', 'REVERSE_ALL', 'REVERSED'),
        ('REVERSE_PROCESSING', 'FAIL', 'REVERSE_FAILED'),
        ('REVERSE_UNKNOWN', 'CLEAR', 'REVERSE_PROCESSING'),
        ('REVERSE_UNKNOWN', 'REVERSE_PART', 'PARTIALLY_REVERSED'),
        ('REVERSE_UNKNOWN', 'REVERSE_ALL', 'REVERSED'),
        ('REVERSE_UNKNOWN', 'FAIL', 'REVERSE_FAILED')
    ) AS t (status, event, next) WHERE t.status = p_status AND t.event = p_event
$$;

-- Keeps the installation from being removed while the transaction lasts, and says whether it is open. Not by
-- its row, which the bookkeeping of tasks locks all the time: money does not wait for that.
CREATE FUNCTION open_for_money(p_installation integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(28781, p_installation);
    RETURN EXISTS (SELECT FROM installation WHERE id = p_installation AND status = 'INSTALLED');
END
$$;

-- Waits until no order of an installation is being begun or made, and keeps it so while the transaction lasts;
-- returns the references of those that may be at the provider, a hundred at most.
CREATE FUNCTION transfers_at_the_provider(p_installation integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(28781, p_installation);
    RETURN QUERY
    SELECT t.reference FROM transfer t JOIN transfer_attempt a ON a.transfer = t.key AND a.number = t.attempts
    WHERE t.installation = p_installation AND a.state IN ('SENDING', 'ACCEPTED', 'UNKNOWN')
    ORDER BY t.created_at LIMIT 100;
END
$$;

-- Locks an order.
CREATE FUNCTION lock_transfer(p_key uuid) RETURNS transfer
LANGUAGE plpgsql AS $$
DECLARE
    v transfer;
BEGIN
    SELECT * INTO v FROM transfer WHERE key = p_key FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no such transfer initiation.' USING ERRCODE = 'PX005';
    END IF;
    RETURN v;
END
$$;

-- Tells how an order stands now. References become identifiers where the event leaves the house.
CREATE FUNCTION tell_transfer(p transfer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO event (installation, type, object, part, facts)
    SELECT p.installation, 'SAVED_TRANSFER_INITIATION', p.key,
           -- With its time of birth: one that was deleted may be made again.
           md5(p.key::text || p.created_at || ' ' || p.adjustments)::uuid,
           json_build_object(
               'reference', p.reference, 'createdAt', p.created_at, 'scheduledAt', p.scheduled_at,
               'description', p.description, 'type', p.type, 'source', p.source_reference,
               'destination', p.destination_reference, 'amount', p.amount - p.reversed, 'asset', p.asset,
               'attempts', p.adjustments, 'status', p.status, 'error', p.error,
               'payments', (SELECT coalesce(json_agg(json_build_object(
                   'reference', m.reference, 'type', m.type, 'createdAt', m.created_at, 'status', m.status,
                   'error', m.error) ORDER BY m.created_at, m.payment), '[]')
                   FROM transfer_payment m WHERE m.transfer = p.key))::text
$$;

-- Writes down what happened to an order that the caller has locked, and tells it; returns the order.
CREATE FUNCTION note_transfer(p transfer, p_event text, p_status text, p_error text, p_note text) RETURNS transfer
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE transfer SET status = p_status, error = p_error, adjustments = adjustments + 1, updated_at = clock_timestamp()
    WHERE key = p.key RETURNING * INTO p;
    INSERT INTO transfer_adjustment (transfer, number, event, status, error, note)
    VALUES (p.key, p.adjustments, p_event, p.status, p.error, p_note);
    PERFORM tell_transfer(p);
    RETURN p;
END
$$;

-- Lets something happen to an order that the caller has locked; returns the order.
CREATE FUNCTION move_transfer(p transfer, p_event text, p_error text, p_note text) RETURNS transfer
LANGUAGE plpgsql AS $$
DECLARE
    v_next text := next_transfer_status(p.status, p_event);
BEGIN
    IF v_next IS NULL THEN
        RAISE EXCEPTION 'The transfer initiation is %; that does not allow to %.', p.status, CASE p_event
            WHEN 'APPROVE' THEN 'validate it' WHEN 'REJECT' THEN 'reject it' WHEN 'RETRY' THEN 'try it again'
            WHEN 'REVERSE' THEN 'reverse it' ELSE p_event END USING ERRCODE = 'PX003';
    END IF;
    RETURN note_transfer(p, p_event, v_next, coalesce(p_error, ''), p_note);
END
$$;

-- Makes the next attempt of an order that the caller has locked, to be sent when it is time; returns the job
-- for the engine. Its key is stored with it, before anybody calls.
CREATE FUNCTION attempt_transfer(p transfer, p_number integer, p_key text, p_reversal uuid)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF p_number <> p.attempts + 1 THEN
        RAISE EXCEPTION 'Somebody else was faster. Look at it again.' USING ERRCODE = 'PX003';
    END IF;
    INSERT INTO transfer_attempt (transfer, number, reversal, key) VALUES (p.key, p_number, p_reversal, p_key);
    RETURN QUERY
    UPDATE transfer t SET attempts = p_number, due_at = greatest(now(), t.scheduled_at), generation = t.generation + 1,
        token = NULL, job = NULL
    WHERE t.key = p.key
    RETURNING t.key, t.generation, t.due_at - now();
END
$$;

-- Makes an order; `fresh` is false when there is one of its reference already, and then nothing is done.
CREATE FUNCTION create_transfer(
    p_key uuid, p_installation integer, p_reference text, p_type text, p_description text, p_amount numeric,
    p_asset text, p_source uuid, p_source_reference text, p_destination uuid, p_destination_reference text,
    p_metadata text, p_validated boolean, p_scheduled_at timestamptz, p_attempt_key text
)
RETURNS TABLE (fresh boolean, task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer;
BEGIN
    IF NOT open_for_money(p_installation) THEN
        RAISE EXCEPTION 'The installation is being reset or removed.' USING ERRCODE = 'PX003';
    END IF;
    INSERT INTO transfer (key, installation, reference, type, description, amount, asset, source, source_reference,
                          destination, destination_reference, metadata, validated, scheduled_at, status)
    VALUES (p_key, p_installation, p_reference, p_type, p_description, p_amount, p_asset, p_source,
            p_source_reference, p_destination, p_destination_reference, p_metadata::jsonb, p_validated,
            p_scheduled_at, CASE WHEN p_validated THEN 'VALIDATED' ELSE 'WAITING_FOR_VALIDATION' END)
    ON CONFLICT (key) DO NOTHING RETURNING * INTO v;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, NULL::uuid, NULL::bigint, NULL::interval;
        RETURN;
    END IF;
    v := note_transfer(v, NULL, v.status, '', NULL);
    IF p_validated THEN
        RETURN QUERY SELECT true, a.task, a.generation, a.delay FROM attempt_transfer(v, 1, p_attempt_key, NULL) a;
    ELSE
        RETURN QUERY SELECT true, NULL::uuid, NULL::bigint, NULL::interval;
    END IF;
END
$$;

-- Approves or rejects an order that waits for that; returns the job for the engine, if any.
CREATE FUNCTION judge_transfer(p_key uuid, p_event text, p_attempt_key text, p_note text)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer := move_transfer(lock_transfer(p_key), p_event, '', p_note);
BEGIN
    IF p_event = 'APPROVE' THEN
        RETURN QUERY SELECT * FROM attempt_transfer(v, 1, p_attempt_key, NULL);
    END IF;
END
$$;

-- Refuses what would move money a second time, because a payment of an attempt that has failed, at the order or
-- at a reversal, has moved after all.
CREATE FUNCTION refuse_if_moved(p_key uuid, p_reversals boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v record;
BEGIN
    SELECT p.reference, p.status INTO v FROM transfer_payment m
    JOIN transfer_attempt a ON a.transfer = m.transfer AND a.number = m.attempt
    JOIN payment p ON p.key = m.payment
    WHERE m.transfer = p_key AND a.state = 'FAILED' AND (a.reversal IS NOT NULL) = p_reversals
      AND p.status NOT IN ('FAILED', 'CANCELLED', 'EXPIRED') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'It has failed, but the provider''s payment % of it is %. Ask the provider before more is moved.',
            v.reference, v.status USING ERRCODE = 'PX003';
    END IF;
END
$$;

-- Tries an order again that has surely failed, under a new key; returns the job for the engine.
CREATE FUNCTION retry_transfer(p_key uuid, p_number integer, p_attempt_key text, p_note text)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer := move_transfer(lock_transfer(p_key), 'RETRY', '', p_note);
BEGIN
    PERFORM refuse_if_moved(p_key, false);
    RETURN QUERY SELECT * FROM attempt_transfer(v, p_number, p_attempt_key, NULL);
END
$$;

-- The payment that the provider made of an order, by the provider's reference; NULL where it is not known.
CREATE FUNCTION payment_of_transfer(p_key uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT m.reference FROM transfer_payment m
    JOIN transfer_attempt a ON a.transfer = m.transfer AND a.number = m.attempt AND a.reversal IS NULL
    WHERE m.transfer = p_key AND m.status = 'PROCESSED' ORDER BY m.attempt DESC, m.created_at DESC LIMIT 1
$$;

-- Takes an amount of an order back, one at a time; returns the job for the engine.
CREATE FUNCTION reverse_transfer(
    p_key uuid, p_number integer, p_attempt_key text, p_reversal uuid, p_reference text, p_description text,
    p_amount numeric, p_metadata text
)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer := move_transfer(lock_transfer(p_key), 'REVERSE', '', NULL);
BEGIN
    IF p_amount > v.amount - v.reversed THEN
        RAISE EXCEPTION 'amount: % is more than the % that are left.', p_amount, v.amount - v.reversed
            USING ERRCODE = 'PX004';
    END IF;
    PERFORM refuse_if_moved(p_key, true);
    IF payment_of_transfer(p_key) IS NULL THEN
        RAISE EXCEPTION 'It is not known which payment the provider made of it, so it cannot be reversed here.'
            USING ERRCODE = 'PX003';
    END IF;
    INSERT INTO transfer_reversal (key, transfer, reference, description, amount, metadata)
    VALUES (p_reversal, p_key, p_reference, p_description, p_amount, p_metadata::jsonb) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is a reversal of this reference already.' USING ERRCODE = 'PX003';
    END IF;
    RETURN QUERY SELECT * FROM attempt_transfer(v, p_number, p_attempt_key, p_reversal);
END
$$;

-- Deletes an order that nobody has approved or rejected yet.
CREATE FUNCTION delete_transfer(p_key uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v transfer := lock_transfer(p_key);
BEGIN
    IF v.status <> 'WAITING_FOR_VALIDATION' THEN
        RAISE EXCEPTION 'The transfer initiation is %; only one that waits for validation can be deleted.', v.status
            USING ERRCODE = 'PX003';
    END IF;
    DELETE FROM transfer_adjustment WHERE transfer = p_key;
    DELETE FROM transfer WHERE key = p_key;
    INSERT INTO event (installation, type, object, part, facts)
    VALUES (v.installation, 'DELETED_TRANSFER_INITIATION', p_key, md5(p_key::text || v.created_at)::uuid,
            json_build_object('reference', v.reference, 'createdAt', now())::text);
END
$$;

-- A person says what became of an order that is unknown: it was paid, or it was not and never will be. Whoever
-- is looking it up finds that out when the answer is refused.
CREATE FUNCTION settle_transfer(
    p_key uuid, p_paid boolean, p_note text, p_payment uuid, p_reference text, p_type text
)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v transfer := lock_transfer(p_key);
BEGIN
    IF v.status NOT IN ('UNKNOWN', 'REVERSE_UNKNOWN') THEN
        RAISE EXCEPTION 'The transfer initiation is %; only of one that is unknown can a person say what became of it.',
            v.status USING ERRCODE = 'PX003';
    ELSIF is_of_another(p_key, p_payment) THEN
        RAISE EXCEPTION 'paymentReference: is that of another transfer initiation''s payment.' USING ERRCODE = 'PX004';
    END IF;
    PERFORM link_payment(p_key, v.attempts, p_payment, p_reference,
                         coalesce((SELECT type FROM payment WHERE key = p_payment), p_type),
                         CASE WHEN p_paid THEN 'PROCESSED' ELSE 'FAILED' END, '');
    PERFORM settle_attempt(v, CASE WHEN p_paid THEN 'SUCCEEDED' ELSE 'FAILED' END,
                           CASE WHEN p_paid THEN '' ELSE 'Not sent, says a person.' END, p_note, NULL);
END
$$;

-- Deletes up to p_rows orders of an installation that is removed, with all that belongs to them; false when
-- none is left. A reset keeps them: what was paid cannot be read anew, and must not be paid again.
CREATE FUNCTION empty_transfers(p_installation integer, p_rows integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_keys uuid[] := ARRAY(SELECT t.key FROM transfer t WHERE t.installation = p_installation LIMIT p_rows);
BEGIN
    DELETE FROM transfer_payment WHERE transfer = ANY (v_keys);
    DELETE FROM transfer_attempt WHERE transfer = ANY (v_keys);
    DELETE FROM transfer_reversal WHERE transfer = ANY (v_keys);
    DELETE FROM transfer_adjustment WHERE transfer = ANY (v_keys);
    DELETE FROM transfer WHERE key = ANY (v_keys);
    RETURN v_keys <> '{}';
END
$$;
