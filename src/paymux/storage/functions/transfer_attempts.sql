-- Money out, at the provider: what is begun, and what became of it. Locks and refusals are as in transfers.sql,
-- and so is the rest of what these call.

-- Keeps which payment an attempt has become, and how that stands.
CREATE FUNCTION link_payment(
    p_transfer uuid, p_attempt integer, p_payment uuid, p_reference text, p_type text, p_status text, p_error text
)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO transfer_payment AS m (transfer, payment, attempt, reference, type, status, error)
    SELECT p_transfer, p_payment, p_attempt, p_reference, p_type, p_status, p_error WHERE p_payment IS NOT NULL
    ON CONFLICT (transfer, payment) DO UPDATE SET status = excluded.status, error = excluded.error
$$;

-- Whether a payment came of another order.
CREATE FUNCTION is_of_another(p_transfer uuid, p_payment uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM transfer_payment WHERE payment = p_payment AND transfer <> p_transfer)
$$;

-- Keeps a payment that somebody brings who is no longer at the order, and changes nothing else: whoever decides
-- about the order must know of it.
CREATE FUNCTION link_late(
    p_key uuid, p_attempt integer, p_payment uuid, p_reference text, p_type text, p_status text
)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM transfer WHERE key = p_key FOR UPDATE;
    IF FOUND AND NOT is_of_another(p_key, p_payment) THEN
        INSERT INTO transfer_payment (transfer, payment, attempt, reference, type, status)
        VALUES (p_key, p_payment, p_attempt, p_reference, p_type, p_status) ON CONFLICT DO NOTHING;
    END IF;
END
$$;

-- Brings an attempt of an order that the caller has locked to where it stands, and the order with it. Of a
-- state that is no end, p_delay is when to look after it again; returns the job for the engine then.
CREATE FUNCTION settle_attempt(p transfer, p_state text, p_error text, p_note text, p_delay interval)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_attempt transfer_attempt;
    v_reversal transfer_reversal;
    v_lost boolean := p.status IN ('UNKNOWN', 'REVERSE_UNKNOWN');
    v_event text;
BEGIN
    SELECT * INTO v_attempt FROM transfer_attempt a WHERE a.transfer = p.key AND a.number = p.attempts;
    v_event := CASE
        WHEN p_state = 'SUCCEEDED' THEN 'PROCESS'
        WHEN p_state = 'FAILED' THEN 'FAIL'
        WHEN p_state = 'UNKNOWN' AND NOT v_lost THEN 'LOSE'
        WHEN p_state IN ('READY', 'ACCEPTED') AND v_lost THEN 'CLEAR' END;
    IF v_attempt.reversal IS NOT NULL AND p_state IN ('SUCCEEDED', 'FAILED') THEN
        UPDATE transfer_reversal SET status = CASE p_state WHEN 'SUCCEEDED' THEN 'PROCESSED' ELSE 'FAILED' END,
            error = p_error, updated_at = clock_timestamp()
        WHERE key = v_attempt.reversal RETURNING * INTO v_reversal;
        IF p_state = 'SUCCEEDED' THEN
            UPDATE transfer SET reversed = reversed + v_reversal.amount WHERE key = p.key RETURNING * INTO p;
            v_event := CASE p.reversed WHEN p.amount THEN 'REVERSE_ALL' ELSE 'REVERSE_PART' END;
        END IF;
    END IF;
    UPDATE transfer_attempt SET state = p_state, error = p_error,
        accepted = accepted OR p_state IN ('ACCEPTED', 'SUCCEEDED'),
        looks = CASE state WHEN p_state THEN looks ELSE 0 END,
        unknown_at = CASE WHEN p_state <> 'UNKNOWN' THEN NULL ELSE coalesce(unknown_at, clock_timestamp()) END,
        settled_at = CASE WHEN p_state IN ('SUCCEEDED', 'FAILED') THEN clock_timestamp() END
    WHERE transfer = p.key AND number = p.attempts;
    IF v_event IS NOT NULL THEN
        p := move_transfer(p, v_event, p_error, p_note);
    END IF;
    UPDATE transfer t SET token = NULL, job = NULL, generation = t.generation + 1, updated_at = clock_timestamp(),
        -- What keeps it from being sent is worth knowing while it waits.
        error = CASE p_state WHEN 'READY' THEN p_error ELSE t.error END,
        due_at = CASE WHEN p_state NOT IN ('SUCCEEDED', 'FAILED') THEN clock_timestamp() + p_delay END
    WHERE t.key = p.key
    RETURNING * INTO p;
    IF p.due_at IS NOT NULL THEN
        RETURN QUERY SELECT p.key, p.generation, p_delay;
    END IF;
END
$$;

-- Begins what is to be done for an order that a job stands for; no row when there is nothing to do: the job is
-- void, or was delivered twice, or the installation is paused and what is due waits. `what` is SEND, and the
-- call may go out once this is committed, or LOOK. Who takes over from a worker that died looks first: nobody
-- can say whether its call went out.
CREATE FUNCTION begin_transfer(p_job bigint, p_key uuid, p_generation bigint)
RETURNS TABLE (what text, token bigint, installation integer, revision integer, attempt integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer;
    v_installation installation;
    v_attempt transfer_attempt;
BEGIN
    SELECT t.* INTO v FROM transfer t WHERE t.key = p_key;
    IF NOT FOUND OR NOT open_for_money(v.installation) THEN RETURN; END IF;
    SELECT i.* INTO v_installation FROM installation i WHERE i.id = v.installation;
    IF places_of(v_installation) = 0 THEN RETURN; END IF;
    SELECT t.* INTO v FROM transfer t
    WHERE t.key = p_key AND t.generation = p_generation AND t.due_at IS NOT NULL
      AND (t.token IS NULL OR t.job IS NULL OR t.job = p_job) FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT a.* INTO v_attempt FROM transfer_attempt a WHERE a.transfer = p_key AND a.number = v.attempts;
    IF v_attempt.state = 'READY' THEN
        what := 'SEND';
        UPDATE transfer_attempt SET state = 'SENDING', sends = sends + 1, looks = 0, sent_at = clock_timestamp(),
            revision = v_installation.revision, refused = NULL
        WHERE transfer = p_key AND number = v.attempts;
        IF next_transfer_status(v.status, 'SEND') IS NOT NULL THEN
            v := move_transfer(v, 'SEND', '', NULL);
        END IF;
    ELSE
        what := 'LOOK';
        IF v_attempt.state = 'SENDING' THEN
            UPDATE transfer_attempt SET state = 'UNKNOWN', unknown_at = clock_timestamp(), looked_up_at = clock_timestamp(),
                error = 'The worker died while it may have been calling the provider.'
            WHERE transfer = p_key AND number = v.attempts;
            v := move_transfer(v, 'LOSE', 'The worker died while it may have been calling the provider.', NULL);
        ELSE
            UPDATE transfer_attempt SET looks = looks + 1, looked_up_at = clock_timestamp()
            WHERE transfer = p_key AND number = v.attempts;
        END IF;
    END IF;
    RETURN QUERY
    UPDATE transfer t SET token = nextval('run_number'), job = p_job WHERE t.key = p_key
    RETURNING what, t.token, t.installation, v_installation.revision, t.attempts;
END
$$;

-- Writes down what became of what was begun; returns the job for the engine when there is more to do.
CREATE FUNCTION finish_transfer(
    p_key uuid, p_token bigint, p_state text, p_error text, p_delay interval, p_handle text, p_stuck boolean,
    p_refused text, p_payment uuid, p_reference text, p_type text, p_status text
)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v transfer;
BEGIN
    SELECT t.* INTO v FROM transfer t WHERE t.key = p_key AND t.token = p_token FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'somebody else is at this order now' USING ERRCODE = 'PX002';
    END IF;
    IF is_of_another(p_key, p_payment) THEN
        -- One of the two was not paid.
        p_state := 'UNKNOWN'; p_stuck := true; p_payment := NULL; p_delay := interval '1 day';
        p_error := 'The provider answered with the payment ' || p_reference || ', which is that of another order.';
    END IF;
    UPDATE transfer_attempt SET handle = coalesce(p_handle, handle), stuck = p_stuck,
        refused = coalesce(p_refused, refused)
    WHERE transfer = p_key AND number = v.attempts;
    PERFORM link_payment(p_key, v.attempts, p_payment, p_reference, p_type, p_status, p_error);
    RETURN QUERY SELECT * FROM settle_attempt(v, p_state, p_error, NULL, p_delay);
END
$$;

-- Lets somebody else take over an order whose job is gone from the engine; false when it has moved on.
CREATE FUNCTION recover_transfer(p_key uuid, p_generation bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE transfer SET job = NULL WHERE key = p_key AND generation = p_generation AND due_at <= now();
    RETURN FOUND;
END
$$;
