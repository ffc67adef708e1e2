-- History: nothing that was said once is lost, by whomever.

-- Keeps the version of an account that is being replaced. A trigger, because only under the row's lock is
-- it known which one that is: of two pages at once, each keeps the one that it replaces.
CREATE FUNCTION keep_account_version()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_version (account, version, type, name, default_asset, metadata, raw, run, created_at,
                                 since, until)
    VALUES (old.key, old.version, old.type, old.name, old.default_asset, old.metadata, old.raw, old.run,
            old.created_at, old.updated_at, new.updated_at);
    RETURN NULL;
END
$$;

-- Version 0 is a stub, which has said nothing.
CREATE TRIGGER keep_account_version AFTER UPDATE ON account
FOR EACH ROW WHEN (old.version > 0 AND new.version > old.version)
EXECUTE FUNCTION keep_account_version();

-- Sets metadata of a payment, text by text, beside what is there. Only what is news is kept, and told when
-- it shows. Returns CHANGED, SAME, ABSENT, or TOO_LARGE when all that was set together is beyond p_limit
-- characters.
CREATE FUNCTION annotate_payment(p_payment uuid, p_said jsonb, p_limit integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v payment;
    v_news jsonb;
    v_annotations jsonb;
    v_metadata jsonb;
BEGIN
    -- Nothing is written into what is being emptied.
    PERFORM FROM installation i WHERE i.status = 'INSTALLED'
        AND i.id = (SELECT p.installation FROM payment p WHERE p.key = p_payment) FOR SHARE;
    IF NOT FOUND THEN RETURN 'ABSENT'; END IF;
    SELECT * INTO v FROM payment WHERE key = p_payment FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'ABSENT'; END IF;
    v_annotations := coalesce(v.annotations, '{}');
    SELECT jsonb_object_agg(s.key, s.value) INTO v_news
    FROM jsonb_each(p_said) AS s (key, value) WHERE v_annotations -> s.key IS DISTINCT FROM s.value;
    IF v_news IS NULL THEN RETURN 'SAME'; END IF;
    v_annotations := v_annotations || v_news;
    IF length(v_annotations::text) > p_limit THEN RETURN 'TOO_LARGE'; END IF;
    v_metadata := coalesce(v.metadata, '{}') || v_annotations;
    INSERT INTO annotation (payment, key, value) SELECT p_payment, n.key, n.value FROM jsonb_each_text(v_news) AS n;
    UPDATE payment SET annotations = v_annotations, metadata = v_metadata, updated_at = now() WHERE key = p_payment;
    IF v_metadata IS DISTINCT FROM v.metadata THEN
        INSERT INTO event (installation, type, object, part, facts)
        VALUES (v.installation, 'SAVED_PAYMENT', p_payment, gen_random_uuid(),
                json_build_object('report', v.head, 'metadata', v_metadata)::text);
    END IF;
    RETURN 'CHANGED';
END
$$;
