-- The page commit: records, checkpoint, events and set-aside records in one statement, so in one
-- transaction and one round trip. Rows are sorted by key on the way in: two pages that overlap then
-- wait for each other instead of deadlocking.

-- A page comes as columns: one array a field, all arrays of a kind equally long. Amounts come as text:
-- the driver cannot put its exact integers into a composite.
CREATE TYPE account_page AS (
    keys uuid[], refs text[], types text[], names text[], assets text[], created timestamptz[],
    metadata text[], raws text[], hashes uuid[]
);
CREATE TYPE balance_page AS (
    accounts uuid[], refs text[], assets text[], amounts text[], at timestamptz[],
    -- Several of one account and asset come in rounds, oldest first.
    rounds integer[]
);
-- Each row is one report. `heads` marks, for each payment of the page, the report that stands for it
-- (the latest); `first_amounts` and `first_at` are those of the page's earliest report of it.
CREATE TYPE payment_page AS (
    keys uuid[], refs text[], types text[], statuses text[], schemes text[], assets text[], amounts text[],
    first_amounts text[], sources uuid[], source_refs text[], destinations uuid[], destination_refs text[],
    created timestamptz[], metadata text[], raws text[], hashes uuid[], reports uuid[], report_refs text[],
    reported timestamptz[], first_at timestamptz[], heads boolean[]
);
CREATE TYPE aside_page AS (ids uuid[], kinds text[], reasons text[], raws text[]);

-- Accounts are refreshed on every sight. A stub becomes a real account with its first description.
CREATE FUNCTION ingest_accounts(p_installation integer, p_run bigint, p account_page)
RETURNS TABLE (added integer, changed integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH fresh AS (
        SELECT i.*, a.created_at AS known_since
        FROM unnest(p.keys, p.refs, p.types, p.names, p.assets, p.created, p.metadata, p.raws, p.hashes)
             AS i (key, reference, type, name, asset, created_at, metadata, raw, hash)
        LEFT JOIN account a ON a.key = i.key
        WHERE a.hash IS DISTINCT FROM i.hash
    ), written AS (
        INSERT INTO account AS a (key, installation, reference, type, name, default_asset, metadata, raw, hash,
                                  version, run, created_at)
        SELECT f.key, p_installation, f.reference, f.type, f.name, f.asset, f.metadata::jsonb, f.raw, f.hash, 1,
               p_run, coalesce(f.created_at, f.known_since, now())
        FROM fresh f ORDER BY f.key
        ON CONFLICT (key) DO UPDATE SET
            type = excluded.type, name = excluded.name, default_asset = excluded.default_asset,
            metadata = excluded.metadata, raw = excluded.raw, hash = excluded.hash, version = a.version + 1,
            run = excluded.run, created_at = excluded.created_at, updated_at = now()
        WHERE a.hash IS DISTINCT FROM excluded.hash
        RETURNING a.key, a.reference, a.type, a.name, a.default_asset, a.created_at, a.version
    ), told AS (
        INSERT INTO event (installation, type, object, part, facts)
        SELECT p_installation, 'SAVED_ACCOUNT', w.key, md5(w.key::text || w.version)::uuid,
               json_build_object('reference', w.reference, 'type', w.type, 'accountName', w.name,
                                 'defaultAsset', w.default_asset, 'createdAt', w.created_at)::text
        FROM written w
    )
    SELECT count(*) FILTER (WHERE w.version = 1)::integer, count(*) FILTER (WHERE w.version > 1)::integer
    FROM written w;
END
$$;

-- Accounts that a payment or a balance names and nobody has described.
CREATE FUNCTION stub_accounts(p_installation integer, p_run bigint, p_keys uuid[], p_refs text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account (key, installation, reference, type, run, created_at)
    SELECT DISTINCT ON (i.key) i.key, p_installation, i.reference, 'UNKNOWN', p_run, now()
    FROM unnest(p_keys, p_refs) AS i (key, reference)
    WHERE i.key IS NOT NULL AND NOT EXISTS (SELECT FROM account a WHERE a.key = i.key)
    ORDER BY i.key
    ON CONFLICT DO NOTHING;
END
$$;

-- Payments. A report that differs from the latest is filed; when it is later than that, it becomes
-- what the payment is, and is told. A report without an identity of its own gets one from what it
-- changes: the same change is the same report, and going back to an earlier content is a new one.
CREATE FUNCTION ingest_payments(p_installation integer, p_run bigint, p payment_page)
RETURNS TABLE (added integer, changed integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH fresh AS MATERIALIZED (
        SELECT i.key, i.reference, i.type, i.status, i.scheme, i.asset, i.amount, i.first_amount, i.source,
               i.source_reference, i.destination, i.destination_reference, i.metadata::jsonb AS metadata, i.raw,
               i.hash, i.report_reference, i.head, i.ord,
               coalesce(i.created_at, o.created_at, now()) AS created_at,
               coalesce(i.report, md5(coalesce(o.hash::text, '') || i.hash)::uuid) AS report,
               coalesce(i.reported_at, greatest(now(), o.head_at + interval '1 microsecond')) AS reported_at,
               i.first_at
        FROM unnest(p.keys, p.refs, p.types, p.statuses, p.schemes, p.assets, p.amounts::numeric[],
                    p.first_amounts::numeric[], p.sources,
                    p.source_refs, p.destinations, p.destination_refs, p.created, p.metadata, p.raws, p.hashes,
                    p.reports, p.report_refs, p.reported, p.first_at, p.heads)
             WITH ORDINALITY AS i (key, reference, type, status, scheme, asset, amount, first_amount, source,
                    source_reference, destination, destination_reference, created_at, metadata, raw, hash, report,
                    report_reference, reported_at, first_at, head, ord)
        LEFT JOIN payment o ON o.key = i.key
        WHERE o.key IS NULL OR (o.hash <> i.hash AND (i.report IS NULL OR NOT EXISTS (
            SELECT FROM adjustment a WHERE a.payment = i.key AND a.report = i.report)))
    ), stubs AS (
        SELECT stub_accounts(p_installation, p_run, array_agg(n.key), array_agg(n.reference))
        FROM (SELECT source, source_reference FROM fresh UNION ALL
              SELECT destination, destination_reference FROM fresh) AS n (key, reference)
        HAVING count(n.key) > 0
    ), filed AS (
        INSERT INTO adjustment (payment, report, reference, type, status, scheme, asset, amount, source,
                                destination, metadata, reported_at, run, raw)
        SELECT f.key, f.report, f.report_reference, f.type, f.status, f.scheme, f.asset, f.amount, f.source,
               f.destination, f.metadata, f.reported_at, p_run, f.raw
        FROM fresh f ORDER BY f.key, f.report
        ON CONFLICT DO NOTHING
    ), written AS (
        INSERT INTO payment AS o (key, installation, reference, type, first_type, status, scheme, asset, amount,
                                  initial_amount, source, destination, metadata, hash, head, head_at, first_at,
                                  created_at)
        SELECT f.key, p_installation, f.reference, f.type, f.type, f.status, f.scheme, f.asset, f.amount,
               f.first_amount, f.source, f.destination, f.metadata, f.hash, f.report, f.reported_at,
               coalesce(f.first_at, f.reported_at), f.created_at
        FROM fresh f WHERE f.head ORDER BY f.key
        ON CONFLICT (key) DO UPDATE SET
            type = excluded.type, status = excluded.status, scheme = excluded.scheme, asset = excluded.asset,
            amount = excluded.amount, source = excluded.source, destination = excluded.destination,
            metadata = excluded.metadata, hash = excluded.hash, head = excluded.head, head_at = excluded.head_at,
            created_at = excluded.created_at, updated_at = now(),
            initial_amount = CASE WHEN excluded.first_at < o.first_at THEN excluded.initial_amount
                                  ELSE o.initial_amount END,
            first_at = least(o.first_at, excluded.first_at)
        WHERE excluded.head <> o.head AND (excluded.head_at, excluded.head) > (o.head_at, o.head)
        RETURNING o.key, o.head, o.xmax = 0 AS added
    ), late AS (
        -- The earliest report came after a later one: only what was first changes.
        UPDATE payment o SET initial_amount = f.first_amount, first_at = f.first_at, updated_at = now()
        FROM fresh f
        WHERE o.key = f.key AND f.head AND f.first_at < o.first_at
          AND (f.reported_at, f.report) < (o.head_at, o.head)
    ), told AS (
        INSERT INTO event (installation, type, object, part)
        SELECT p_installation, 'SAVED_PAYMENT', w.key, w.head
        FROM written w JOIN fresh f ON f.key = w.key AND f.head AND f.report = w.head
        ORDER BY f.ord
    )
    SELECT count(*) FILTER (WHERE w.added)::integer, count(*) FILTER (WHERE NOT w.added)::integer
    FROM written w WHERE (SELECT count(*) FROM stubs) >= 0;
END
$$;

-- Balances, as intervals: the same amount extends the one it stands in, another opens a new one. One
-- from before the last poll says nothing new.
CREATE FUNCTION ingest_balances(p_installation integer, p_run bigint, p balance_page)
RETURNS TABLE (added integer, changed integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_round integer;
    v_opened integer;
    v_total integer := 0;
BEGIN
    PERFORM stub_accounts(p_installation, p_run, p.accounts, p.refs);
    -- One writer an account: intervals are read before they are written.
    PERFORM FROM account WHERE key = ANY (p.accounts) ORDER BY key FOR NO KEY UPDATE;
    FOR v_round IN 1 .. (SELECT max(r) FROM unnest(p.rounds) AS r) LOOP
        WITH known AS MATERIALIZED (
            SELECT i.account, i.asset, i.amount, coalesce(i.at, now()) AS at, b.created_at, b.last_updated_at,
                   b.amount AS held
            FROM unnest(p.accounts, p.assets, p.amounts::numeric[], p.at, p.rounds)
                 AS i (account, asset, amount, at, round)
            LEFT JOIN LATERAL (
                SELECT * FROM balance b WHERE b.account = i.account AND b.asset = i.asset
                ORDER BY b.created_at DESC LIMIT 1
            ) b ON true
            WHERE i.round = v_round
        ), extended AS (
            UPDATE balance b SET last_updated_at = k.at
            FROM known k
            WHERE b.account = k.account AND b.asset = k.asset AND b.created_at = k.created_at
              AND b.last_updated_at < k.at
        ), opened AS (
            INSERT INTO balance AS b (account, asset, created_at, last_updated_at, amount)
            SELECT k.account, k.asset, k.at, k.at, k.amount FROM known k
            WHERE k.created_at IS NULL
               OR (k.held <> k.amount AND k.at >= k.last_updated_at AND k.at > k.created_at)
            RETURNING b.account, b.asset, b.created_at, b.amount
        ), told AS (
            INSERT INTO event (installation, type, object, part, facts)
            SELECT p_installation, 'SAVED_BALANCE', o.account,
                   md5(o.asset || ' ' || extract(epoch FROM o.created_at))::uuid,
                   json_build_object('asset', o.asset, 'createdAt', o.created_at, 'balance', o.amount)::text
            FROM opened o
        )
        SELECT count(*) INTO v_opened FROM opened;
        v_total := v_total + v_opened;
    END LOOP;
    RETURN QUERY SELECT v_total, 0;
END
$$;

-- Commits a page. With a task, only while the run that brings it still holds the task: a worker that
-- was frozen past its lease and wakes up finds that out here, in the same transaction. The installation
-- must not be on its way out. Kinds that are absent are NULL.
CREATE FUNCTION commit_page(
    p_installation integer, p_task uuid, p_token bigint, p_state text, p_accounts account_page,
    p_balances balance_page, p_payments payment_page, p_aside aside_page
)
RETURNS TABLE (added integer, changed integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v record;
BEGIN
    added := 0;
    changed := 0;
    IF p_task IS NULL THEN
        PERFORM FROM installation WHERE id = p_installation AND status <> 'UNINSTALLING' FOR SHARE;
    ELSIF p_state IS NULL THEN
        PERFORM FROM task WHERE id = p_task AND token = p_token AND NOT cancelled FOR SHARE;
    ELSE
        UPDATE task SET state = p_state WHERE id = p_task AND token = p_token AND NOT cancelled;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this run no longer holds its task' USING ERRCODE = 'PX002';
    END IF;
    IF (p_accounts).keys IS NOT NULL THEN
        SELECT * INTO v FROM ingest_accounts(p_installation, p_token, p_accounts);
        added := added + v.added;
        changed := changed + v.changed;
    END IF;
    IF (p_balances).accounts IS NOT NULL THEN
        SELECT * INTO v FROM ingest_balances(p_installation, p_token, p_balances);
        added := added + v.added;
    END IF;
    IF (p_payments).keys IS NOT NULL THEN
        SELECT * INTO v FROM ingest_payments(p_installation, p_token, p_payments);
        added := added + v.added;
        changed := changed + v.changed;
    END IF;
    IF (p_aside).ids IS NOT NULL THEN
        -- The id is a hash of what was seen, so the same record seen again only counts up.
        INSERT INTO set_aside AS s (id, installation, task, run, kind, reason, raw)
        SELECT DISTINCT ON (i.id) i.id, p_installation, p_task, p_token, i.kind, i.reason, i.raw
        FROM unnest(p_aside.ids, p_aside.kinds, p_aside.reasons, p_aside.raws) AS i (id, kind, reason, raw)
        ORDER BY i.id
        ON CONFLICT (installation, id) DO UPDATE SET seen = s.seen + 1, last_seen_at = now();
    END IF;
    RETURN NEXT;
END
$$;
