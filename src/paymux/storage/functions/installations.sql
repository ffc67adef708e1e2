-- What an installation has brought in, taken out again in batches: a long delete holds up vacuum and, on
-- rows, everybody else.

-- Deletes up to p_rows rows of one kind, and what belongs to them; false when nothing is left. Nothing
-- may be at work for the installation any more, and its events must have been told.
CREATE FUNCTION empty_installation(p_installation integer, p_rows integer)
RETURNS boolean
LANGUAGE plpgsql
-- All that goes is found by index, also by a plan that was made when the tables were small.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_keys uuid[];
BEGIN
    v_keys := ARRAY(SELECT p.key FROM payment p WHERE p.installation = p_installation LIMIT p_rows);
    IF v_keys <> '{}' THEN
        DELETE FROM adjustment WHERE payment = ANY (v_keys);
        DELETE FROM annotation WHERE payment = ANY (v_keys);
        DELETE FROM payment WHERE key = ANY (v_keys);
        RETURN true;
    END IF;
    v_keys := ARRAY(SELECT a.key FROM account a WHERE a.installation = p_installation LIMIT p_rows);
    IF v_keys <> '{}' THEN
        -- One account may have a history of millions: those first, and the accounts when there are none.
        DELETE FROM balance b WHERE b.ctid = ANY (ARRAY(
            SELECT c.ctid FROM balance c WHERE c.account = ANY (v_keys) LIMIT p_rows));
        IF NOT FOUND THEN
            DELETE FROM account_version v WHERE v.ctid = ANY (ARRAY(
                SELECT c.ctid FROM account_version c WHERE c.account = ANY (v_keys) LIMIT p_rows));
        END IF;
        IF NOT FOUND THEN
            DELETE FROM account WHERE key = ANY (v_keys);
        END IF;
        RETURN true;
    END IF;
    DELETE FROM run WHERE id = ANY (ARRAY(
        SELECT r.id FROM run r WHERE r.installation = p_installation LIMIT p_rows));
    IF FOUND THEN RETURN true; END IF;
    DELETE FROM task WHERE id = ANY (ARRAY(
        SELECT t.id FROM task t WHERE t.installation = p_installation LIMIT p_rows));
    IF FOUND THEN RETURN true; END IF;
    DELETE FROM set_aside WHERE installation = p_installation AND id = ANY (ARRAY(
        SELECT s.id FROM set_aside s WHERE s.installation = p_installation LIMIT p_rows));
    IF FOUND THEN RETURN true; END IF;
    -- Events of payments and accounts; what happened to the installation itself stays in the feed.
    DELETE FROM event WHERE seq = ANY (ARRAY(
        SELECT e.seq FROM event e
        WHERE e.installation = p_installation AND e.type LIKE 'SAVED%' LIMIT p_rows));
    RETURN FOUND;
END
$$;
