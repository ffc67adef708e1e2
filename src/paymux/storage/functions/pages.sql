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
-- Each row is one report; one without a time is said now, and one without `reports` is a snapshot.
CREATE TYPE payment_page AS (
    keys uuid[], refs text[], types text[], statuses text[], schemes text[], assets text[], amounts text[],
    -- Where they are others.
    first_amounts text[],
    sources uuid[], destinations uuid[], created timestamptz[], metadata text[],
    raws text[], hashes uuid[], reports uuid[], report_refs text[], reported timestamptz[],
    -- Only where the page has several reports of the payment: the report's place among those without a
    -- time, and the latest time of all.
    places integer[], until timestamptz[],
    -- The accounts that are named, each once.
    accounts uuid[], account_refs text[],
    -- Only where payments of several pages come together: the number of the page that each, and each
    -- account, is of.
    pages integer[], account_pages integer[]
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
        SELECT i.* FROM unnest(p.keys, p.refs, p.types, p.names, p.assets, p.created, p.metadata, p.raws, p.hashes)
             AS i (key, reference, type, name, asset, created_at, metadata, raw, hash)
        LEFT JOIN account a ON a.key = i.key
        WHERE a.hash IS DISTINCT FROM i.hash
    ), written AS (
        INSERT INTO account AS a (key, installation, reference, type, name, default_asset, metadata, raw, hash,
                                  version, run, created_at)
        SELECT f.key, p_installation, f.reference, f.type, f.name, f.asset, f.metadata::jsonb, f.raw, f.hash, 1,
               p_run, coalesce(f.created_at, now())
        FROM fresh f ORDER BY f.key
        ON CONFLICT (key) DO UPDATE SET
            type = excluded.type, name = excluded.name, default_asset = excluded.default_asset,
            metadata = excluded.metadata, raw = excluded.raw, hash = excluded.hash, version = a.version + 1,
            run = excluded.run,
            -- Two at once: who began earlier may come later, and each version lasts for a while.
            updated_at = greatest(now(), a.updated_at + interval '1 microsecond'),
            created_at = CASE excluded.created_at WHEN now() THEN a.created_at ELSE excluded.created_at END
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
CREATE FUNCTION stub_accounts(
    p_installations integer[], p_runs bigint[], p_keys uuid[], p_refs text[], p_pages integer[]
)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account (key, installation, reference, type, run, created_at)
    SELECT DISTINCT ON (i.key) i.key, p_installations[coalesce(i.page, 1)], i.reference, 'UNKNOWN',
           p_runs[coalesce(i.page, 1)], now()
    FROM unnest(p_keys, p_refs, p_pages) AS i (key, reference, page)
    WHERE i.key IS NOT NULL AND NOT EXISTS (SELECT FROM account a WHERE a.key = i.key)
    ORDER BY i.key, i.page
    ON CONFLICT DO NOTHING;
END
$$;

-- Payments. Each report that is not filed yet is filed, and the payment is what the latest of all its
-- reports says, with the initial amount of the earliest, whatever order they come in. A change of the
-- latest is told. A report without an identity of its own gets one from what it changes: the same change
-- is the same report, and going back to an earlier content is a new one.
-- They are of one page, or of several, with installation and run of each; then no payment may be in two of
-- them, and the keys are returned of those that were added and, once a report, of those a report was filed of.
CREATE FUNCTION ingest_payments(p_installations integer[], p_runs bigint[], p payment_page)
RETURNS TABLE (added integer, changed integer, added_keys uuid[], filed_keys uuid[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- Accounts before payments, as in every page: nobody waits in a circle.
    IF p.accounts IS NOT NULL THEN
        PERFORM stub_accounts(p_installations, p_runs, p.accounts, p.account_refs, p.account_pages);
    END IF;
    WITH fresh AS MATERIALIZED (
        SELECT coalesce(i.page, 1) AS page, i.key, i.reference, i.type, i.status, i.scheme, i.asset, i.amount,
               coalesce(i.first_amount, i.amount) AS first_amount, i.source, i.destination, i.created_at, i.metadata::jsonb AS metadata, i.raw, i.hash, i.report_reference, i.place,
               coalesce(i.report, md5(coalesce(o.head::text, '') || i.hash)::uuid) AS report,
               -- Without a time it is what the provider says now: later than all else, in the page's order.
               coalesce(i.reported_at,
                   greatest(now(), greatest(o.head_at, i.until) + interval '1 microsecond')
                   + coalesce(i.place, 0) * interval '1 microsecond') AS reported_at
        FROM unnest(p.keys, p.refs, p.types, p.statuses, p.schemes, p.assets, p.amounts::numeric[],
                    p.first_amounts::numeric[], p.sources, p.destinations, p.created, p.metadata, p.raws, p.hashes,
                    p.reports, p.report_refs, p.reported, p.places, p.until, p.pages)
             AS i (key, reference, type, status, scheme, asset, amount, first_amount, source,
                    destination, created_at, metadata, raw, hash, report, report_reference, reported_at, place,
                    until, page)
        LEFT JOIN payment o ON o.key = i.key
        WHERE o.key IS NULL OR (o.hash <> i.hash AND (i.report IS NULL OR NOT EXISTS (
            SELECT FROM adjustment a WHERE a.payment = i.key AND a.report = i.report)))
    ), filed AS (
        INSERT INTO adjustment (payment, report, reference, type, status, scheme, asset, amount, initial_amount,
                                source, destination, metadata, reported_at, run, raw)
        SELECT f.key, f.report, f.report_reference, f.type, f.status, f.scheme, f.asset, f.amount,
               nullif(f.first_amount, f.amount), f.source, f.destination, f.metadata, f.reported_at,
               p_runs[f.page], f.raw
        FROM fresh f ORDER BY f.key, f.report
        ON CONFLICT DO NOTHING
        RETURNING payment, report
    ), latest AS (
        -- One row a payment. Only of what was filed here: who files a report also settles what follows from
        -- it. Asked by IN: a join would be planned for a handful of rows, as a loop in a loop.
        SELECT f.*, f.reported_at AS first_at, f.first_amount AS initial,
               coalesce(f.created_at, f.reported_at) AS since
        FROM fresh f
        WHERE f.place IS NULL AND ((f.key, f.report) IN (SELECT n.payment, n.report FROM filed n)) IS TRUE
        UNION ALL
        SELECT * FROM (
            SELECT DISTINCT ON (f.key) f.*, min(f.reported_at) OVER k,
                   first_value(f.first_amount) OVER (PARTITION BY f.key ORDER BY f.reported_at, f.first_amount),
                   coalesce(f.created_at, max(f.created_at) OVER k, min(f.reported_at) OVER k)
            FROM fresh f
            WHERE f.place IS NOT NULL AND ((f.key, f.report) IN (SELECT n.payment, n.report FROM filed n)) IS TRUE
            WINDOW k AS (PARTITION BY f.key)
            ORDER BY f.key, f.reported_at DESC, f.report DESC
        ) AS folded
    ), written AS (
        INSERT INTO payment AS o (key, installation, reference, type, first_type, status, scheme, asset, amount,
                                  initial_amount, source, destination, metadata, hash, head, head_at, first_at,
                                  created_at)
        SELECT l.key, p_installations[l.page], l.reference, l.type, l.type, l.status, l.scheme, l.asset, l.amount,
               l.initial, l.source, l.destination, l.metadata, l.hash, l.report, l.reported_at, l.first_at, l.since
        FROM latest l ORDER BY l.key
        ON CONFLICT (key) DO UPDATE SET
            (type, status, scheme, asset, amount, source, destination, metadata, hash, head, head_at) = (
                SELECT v.type, v.status, v.scheme, v.asset, v.amount, v.source, v.destination,
                       -- What people have set stays, over whatever the provider says.
                       CASE WHEN o.annotations IS NULL THEN v.metadata
                            ELSE coalesce(v.metadata, '{}') || o.annotations END,
                       v.hash, v.head, v.head_at
                FROM (VALUES
                    (o.type, o.status, o.scheme, o.asset, o.amount, o.source, o.destination, o.metadata, o.hash,
                     o.head, o.head_at),
                    (excluded.type, excluded.status, excluded.scheme, excluded.asset, excluded.amount, excluded.source,
                     excluded.destination, excluded.metadata, excluded.hash, excluded.head, excluded.head_at)
                ) AS v (type, status, scheme, asset, amount, source, destination, metadata, hash, head, head_at)
                ORDER BY v.head_at DESC, v.head DESC LIMIT 1),
            (initial_amount, first_at) = (
                SELECT * FROM (VALUES (o.initial_amount, o.first_at), (excluded.initial_amount, excluded.first_at))
                    AS v (initial_amount, first_at)
                ORDER BY v.first_at, v.initial_amount LIMIT 1),
            -- Where nobody has said when it was made, it is as old as its earliest report.
            created_at = CASE
                WHEN excluded.created_at <> excluded.first_at
                     AND (o.created_at = o.first_at OR (excluded.head_at, excluded.head) > (o.head_at, o.head))
                THEN excluded.created_at
                WHEN o.created_at = o.first_at THEN least(o.first_at, excluded.first_at)
                ELSE o.created_at END,
            updated_at = now()
        RETURNING o.key, o.installation, o.head, o.head_at, o.created_at, o.annotations, o.metadata,
                  o.xmax = 0 AS added
    ), told AS (
        INSERT INTO event (installation, type, object, part, facts)
        SELECT w.installation, 'SAVED_PAYMENT', w.key, w.head,
               -- Otherwise the report holds it all.
               CASE WHEN w.annotations IS NOT NULL
                    THEN json_build_object('report', w.head, 'metadata', w.metadata)::text END
        FROM written w WHERE ((w.key, w.head) IN (SELECT n.payment, n.report FROM filed n)) IS TRUE
        ORDER BY w.head_at, w.created_at, w.key
    )
    SELECT w.added, (f.filed - w.added)::integer, w.keys, f.keys INTO added, changed, added_keys, filed_keys
    FROM (SELECT count(*) FILTER (WHERE o.added)::integer AS added,
                 array_agg(o.key) FILTER (WHERE o.added AND p.pages IS NOT NULL) AS keys FROM written o) w,
         (SELECT count(*) AS filed, array_agg(n.payment) FILTER (WHERE p.pages IS NOT NULL) AS keys FROM filed n) f;
    -- The rows are locked by now, so each statement from here on sees all of their reports.
    IF changed > 0 THEN PERFORM keep_initial_amounts(p.keys); END IF;
    RETURN NEXT;
END
$$;

-- An amount means nothing in another asset: where reports differ in that, the initial amount is what the
-- earliest says of those that are in the payment's asset.
CREATE FUNCTION keep_initial_amounts(p_keys uuid[])
RETURNS void LANGUAGE plpgsql
-- Plans are kept for the life of a connection, also those made while the tables were nearly empty.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE payment p SET initial_amount = (
        SELECT coalesce(a.initial_amount, a.amount) AS initial FROM adjustment a
        WHERE a.payment = p.key AND a.asset = p.asset ORDER BY a.reported_at, initial LIMIT 1)
    WHERE p.key = ANY (p_keys)
      AND EXISTS (SELECT FROM adjustment a WHERE a.payment = p.key AND a.asset <> p.asset);
END
$$;

-- Balances, as intervals: the same amount extends the one it stands in, another ends it and opens a new
-- one. One from before the last poll says nothing new; another amount for the very instant at which an
-- interval opened corrects it; one without a time is what the provider says now, so it is the newest.
CREATE FUNCTION ingest_balances(p_installation integer, p_run bigint, p balance_page)
RETURNS TABLE (added integer, changed integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_round integer;
    v_opened integer;
    v_total integer := 0;
BEGIN
    PERFORM stub_accounts(ARRAY[p_installation], ARRAY[p_run], p.accounts, p.refs, NULL);
    -- One writer an account: intervals are read before they are written.
    PERFORM FROM account WHERE key = ANY (p.accounts) ORDER BY key FOR NO KEY UPDATE;
    FOR v_round IN 1 .. (SELECT max(r) FROM unnest(p.rounds) AS r) LOOP
        WITH known AS MATERIALIZED (
            SELECT i.account, i.asset, i.amount, b.created_at, b.last_updated_at, b.amount AS held,
                   coalesce(i.at, greatest(now(), b.last_updated_at + interval '1 microsecond')) AS at
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
            WHERE k.created_at IS NULL OR (k.held <> k.amount AND k.at >= k.last_updated_at)
            ON CONFLICT (account, asset, created_at) DO UPDATE SET amount = excluded.amount
            RETURNING b.account, b.asset, b.created_at, b.amount
        ), told AS (
            INSERT INTO event (installation, type, object, part, facts)
            SELECT p_installation, 'SAVED_BALANCE', o.account,
                   -- Not made of the interval: a correction may be corrected back.
                   gen_random_uuid(),
                   json_build_object('asset', o.asset, 'createdAt', o.created_at, 'balance', o.amount)::text
            FROM opened o
        )
        SELECT count(*) INTO v_opened FROM opened;
        v_total := v_total + v_opened;
    END LOOP;
    RETURN QUERY SELECT v_total, 0;
END
$$;

-- The steady state is a poll that brings nothing new: before a large page is sent whole, it is asked which
-- of its reports differ from what the payments' latest reports say. By key and 16-byte hash: 500,000/s. As
-- there may be nothing to commit after that, a run that lost its task finds it out here, too.
CREATE FUNCTION fresh_payments(
    p_installation integer, p_task uuid, p_token bigint, p_keys uuid[], p_hashes uuid[]
)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    IF p_task IS NULL THEN
        PERFORM FROM installation WHERE id = p_installation AND status <> 'UNINSTALLING';
    ELSE
        PERFORM FROM task WHERE id = p_task AND token = p_token AND NOT cancelled;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this run no longer holds its task' USING ERRCODE = 'PX002';
    END IF;
    RETURN (SELECT coalesce(array_agg(i.ord), '{}')
            FROM unnest(p_keys, p_hashes) WITH ORDINALITY AS i (key, hash, ord)
            LEFT JOIN payment p ON p.key = i.key
            WHERE p.hash IS DISTINCT FROM i.hash);
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
LANGUAGE plpgsql
-- Plans are kept for the life of a connection, also those made while the tables were nearly empty: all
-- that is looked up here is looked up by key, however little that would save today.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
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
        UPDATE task SET state = p_state, crashes = 0 WHERE id = p_task AND token = p_token AND NOT cancelled;
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
        SELECT * INTO v FROM ingest_payments(ARRAY[p_installation], ARRAY[p_token], p_payments);
        added := added + v.added;
        changed := changed + v.changed;
    END IF;
    IF (p_aside).ids IS NOT NULL THEN
        -- The id is a hash of what was seen, so the same record seen again only counts up.
        INSERT INTO set_aside AS s (id, installation, task, run, kind, reason, raw, seen)
        SELECT DISTINCT ON (i.id) i.id, p_installation, p_task, p_token, i.kind, i.reason, i.raw,
               count(*) OVER (PARTITION BY i.id)
        FROM unnest(p_aside.ids, p_aside.kinds, p_aside.reasons, p_aside.raws) AS i (id, kind, reason, raw)
        ORDER BY i.id
        ON CONFLICT (installation, id) DO UPDATE SET
            seen = s.seen + excluded.seen, last_seen_at = now(), replayed_at = NULL;
    END IF;
    RETURN NEXT;
END
$$;

-- Commits pages of several runs that hold a few payments each and nothing else, as commit_page would one
-- after the other: what a statement costs beside its rows, they share.
CREATE FUNCTION commit_payments(
    p_installations integer[], p_tasks uuid[], p_tokens bigint[], p_payments payment_page
)
RETURNS TABLE (added_keys uuid[], filed_keys uuid[])
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    v_held integer;
BEGIN
    PERFORM FROM unnest(p_tasks, p_tokens) AS r (task, token) JOIN task t ON t.id = r.task AND t.token = r.token
    WHERE NOT t.cancelled ORDER BY t.id FOR SHARE OF t;
    GET DIAGNOSTICS v_held = ROW_COUNT;
    IF v_held < cardinality(p_tasks) THEN
        RAISE EXCEPTION 'one of these runs no longer holds its task' USING ERRCODE = 'PX002';
    END IF;
    RETURN QUERY SELECT i.added_keys, i.filed_keys FROM ingest_payments(p_installations, p_tokens, p_payments) i;
END
$$;
