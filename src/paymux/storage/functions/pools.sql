-- Pools: what their accounts hold together.

-- What the accounts of a pool held at a time, or hold now (NULL), summed by asset. After its last poll an account
-- holds what that said; before its first nobody knows. Each account is looked at asset by asset, from the last
-- one down, by the primary key of balances: however long its history, one look an asset. The accounts go in
-- order of key, as balances do: that alone is three times as fast.
CREATE FUNCTION pool_balances(p_pool uuid, p_at timestamptz)
RETURNS TABLE (asset text, amount numeric)
LANGUAGE plpgsql STABLE
-- Plans are kept for the life of a connection, also those made while the tables were nearly empty.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE held AS (
        SELECT m.account, b.asset, b.amount
        FROM (
            SELECT account FROM pool_account
            WHERE pool = p_pool
              AND installation = ANY (ARRAY(SELECT id FROM installation WHERE status = 'INSTALLED'))
            ORDER BY account
        ) m
        CROSS JOIN LATERAL (
            SELECT b.asset, b.amount FROM balance b
            WHERE b.account = m.account AND b.created_at <= coalesce(p_at, 'infinity')
            ORDER BY b.asset DESC, b.created_at DESC LIMIT 1
        ) b
        UNION ALL
        SELECT h.account, b.asset, b.amount
        FROM held h
        CROSS JOIN LATERAL (
            SELECT b.asset, b.amount FROM balance b
            WHERE b.account = h.account AND b.asset < h.asset AND b.created_at <= coalesce(p_at, 'infinity')
            ORDER BY b.asset DESC, b.created_at DESC LIMIT 1
        ) b
    )
    SELECT h.asset, sum(h.amount) FROM held h GROUP BY h.asset ORDER BY h.asset;
END
$$;
