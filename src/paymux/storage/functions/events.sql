-- The line of events. Their numbers are given while a transaction is open, and one that commits late has a
-- lower number than what was read before it: whoever remembers a number skips it. Places are given to what has
-- been committed, by one at a time, and become visible in their order: whoever remembers a place has all
-- before it.

-- Gives places to up to p_limit events, by their numbers; returns how many that were. An object's events
-- are written under its lock, so of two the earlier one is committed first, and comes first here.
CREATE FUNCTION line_up(p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_last bigint;
    v_count integer;
BEGIN
    IF NOT EXISTS (SELECT FROM event WHERE position IS NULL) THEN
        RETURN 0;
    END IF;
    SELECT last INTO v_last FROM outbox FOR UPDATE;
    -- A statement of its own, begun under the lock: it sees what whoever held the lock before has committed.
    UPDATE event e SET position = v_last + w.n
    FROM (SELECT b.seq, row_number() OVER (ORDER BY b.seq) AS n
          FROM (SELECT seq FROM event WHERE position IS NULL ORDER BY seq LIMIT p_limit) AS b) AS w
    WHERE e.seq = w.seq;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    UPDATE outbox SET last = v_last + v_count;
    RETURN v_count;
END
$$;

-- The place up to which every sink has been told. Before the first worker has said which sinks there are, nothing is.
CREATE FUNCTION told_everywhere() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT min(s.position) FROM sink s WHERE s.active), 0)
$$;

-- Deletes events that every sink has and that are older than p_kept, from the front of the line: p_limit at
-- most; returns how many that were.
CREATE FUNCTION prune_events(p_kept interval, p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_told bigint := told_everywhere();
    v_last bigint;
    v_count integer;
BEGIN
    -- The front first, whatever its age, and then what of it is old: otherwise all would be looked through
    -- when nothing is.
    WITH gone AS (
        DELETE FROM event WHERE seq = ANY (ARRAY(
            SELECT f.seq FROM (SELECT seq, created_at FROM event WHERE position <= v_told
                               ORDER BY position LIMIT p_limit) AS f
            WHERE f.created_at < now() - p_kept))
        RETURNING position
    )
    SELECT max(position), count(*) INTO v_last, v_count FROM gone;
    IF v_count > 0 THEN
        UPDATE outbox SET pruned = greatest(pruned, v_last);
    END IF;
    RETURN v_count;
END
$$;
