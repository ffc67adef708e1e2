-- Task bookkeeping. Each function locks the installation's row first and tasks after it, always in
-- that order, so that places are never given out twice, nobody is left waiting beside a free one,
-- and two of them cannot wait for each other.

-- Gives free places to the tasks that have waited longest; returns the jobs to hand to the engine.
-- The caller holds the installation's lock.
CREATE FUNCTION admit_tasks(p_installation integer)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE sql AS $$
    WITH free AS (
        SELECT i.max_tasks - (SELECT count(*) FROM task t WHERE t.installation = i.id AND t.place) AS places
        FROM installation i WHERE i.id = p_installation
    ), line AS (
        SELECT t.id, t.waiting FROM task t
        WHERE t.installation = p_installation AND t.waiting IS NOT NULL
        ORDER BY t.waiting
        LIMIT (SELECT greatest(places, 0) FROM free)
    ), admitted AS (
        -- A generation of its own: the job that sent it into the line may not be acknowledged yet.
        UPDATE task t SET place = true, waiting = NULL, generation = t.generation + 1
        FROM line WHERE t.id = line.id
        RETURNING t.id, t.generation, line.waiting
    )
    SELECT a.id, a.generation, interval '0' FROM admitted a ORDER BY a.waiting
$$;

-- Schedules tasks of one installation, many at once, each by its restart option; returns the jobs to
-- hand to the engine in the same transaction. Ids must not repeat within one call.
CREATE FUNCTION schedule_tasks(
    p_installation integer, p_ids uuid[], p_descriptors text[], p_schedules text[],
    p_periods interval[], p_delays interval[], p_instants timestamptz[], p_restarts text[]
)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM installation WHERE id = p_installation AND status <> 'UNINSTALLING' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the installation is being removed' USING ERRCODE = 'PX001';
    END IF;
    RETURN QUERY
    WITH input AS (
        SELECT i.id, i.descriptor, i.schedule, i.period, i.restart, i.ord,
               coalesce(i.instant, now() + i.delay, now()) AS due
        FROM unnest(p_ids, p_descriptors, p_schedules, p_periods, p_delays, p_instants, p_restarts)
             WITH ORDINALITY AS i (id, descriptor, schedule, period, delay, instant, restart, ord)
    ), written AS (
        INSERT INTO task AS t (id, installation, descriptor, schedule, period, restart, status, next_run_at, waiting)
        SELECT i.id, p_installation, i.descriptor, i.schedule, i.period, i.restart,
               CASE WHEN i.due <= now() THEN 'PENDING' ELSE 'ACTIVE' END, i.due,
               -- NOW_SYNC needs no place: somebody waits for it, who may hold the last one.
               CASE WHEN i.due <= now() AND i.schedule <> 'NOW_SYNC' THEN nextval('task_line') END
        FROM input i
        -- Most of what is scheduled with NEVER exists: leave it before it costs a row lock.
        WHERE i.restart <> 'NEVER' OR NOT EXISTS (SELECT FROM task e WHERE e.id = i.id)
        ORDER BY i.ord
        ON CONFLICT (id) DO UPDATE SET
            schedule = excluded.schedule, period = excluded.period, restart = excluded.restart,
            next_run_at = excluded.next_run_at, updated_at = now(),
            again = t.token IS NOT NULL,
            cancelled = t.token IS NOT NULL AND (t.cancelled OR excluded.restart = 'STOP_AND_RESTART'),
            status = CASE WHEN t.token IS NULL THEN excluded.status ELSE t.status END,
            attempts = CASE WHEN t.token IS NULL THEN 0 ELSE t.attempts END,
            -- The job of a task that holds a place is out; it stays valid when the task is still due.
            generation = t.generation + CASE WHEN t.token IS NULL AND NOT (
                t.place AND excluded.next_run_at <= now() AND excluded.schedule <> 'NOW_SYNC') THEN 1 ELSE 0 END,
            place = t.place AND (t.token IS NOT NULL OR (
                excluded.next_run_at <= now() AND excluded.schedule <> 'NOW_SYNC')),
            waiting = CASE WHEN t.token IS NULL AND NOT t.place AND excluded.waiting IS NOT NULL
                THEN coalesce(t.waiting, excluded.waiting) END
        WHERE excluded.restart IN ('ALWAYS', 'STOP_AND_RESTART')
           OR (excluded.restart = 'IF_NOT_ACTIVE' AND t.token IS NULL AND t.status NOT IN ('ACTIVE', 'PENDING'))
        RETURNING t.id, t.generation, t.next_run_at, t.token, t.schedule
    )
    SELECT w.id, w.generation, greatest(w.next_run_at - now(), interval '0') FROM written w
    WHERE w.token IS NULL AND (w.next_run_at > now() OR w.schedule = 'NOW_SYNC');

    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Starts the run that a job stands for; no row when there is nothing to do: the job is void, or was
-- delivered twice, or its task now waits in line. Taking over a dead worker's job starts a new run
-- of whatever task ran under it, with a new token, which locks the old run out. One that was told to
-- stop before its worker died is still `cancelled`: it is begun only to be ended.
CREATE FUNCTION begin_run(p_job bigint, p_task uuid, p_generation bigint)
RETURNS TABLE (
    task uuid, token bigint, installation integer, revision integer, descriptor text, state text, attempts integer,
    cancelled boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_installation installation;
    v_task task;
BEGIN
    SELECT i.* INTO v_installation FROM installation i
    WHERE i.id = (SELECT t.installation FROM task t WHERE t.id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND OR v_installation.status = 'UNINSTALLING' THEN RETURN; END IF;

    SELECT t.* INTO v_task FROM task t WHERE t.job = p_job AND t.token IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        INSERT INTO run VALUES (v_task.token, v_task.id, v_task.installation, v_task.running_since,
            now(), 'CRASHED', 'The worker died, or lost the database.', 0, 0, 0, 0, 0);
    ELSE
        SELECT t.* INTO v_task FROM task t
        WHERE t.id = p_task AND t.generation = p_generation AND t.token IS NULL FOR UPDATE;
        IF NOT FOUND THEN RETURN; END IF;
        IF NOT v_task.place AND v_task.schedule <> 'NOW_SYNC' AND v_installation.max_tasks <=
            (SELECT count(*) FROM task t WHERE t.installation = v_installation.id AND t.place)
        THEN
            UPDATE task SET waiting = coalesce(waiting, nextval('task_line')),
                status = CASE status WHEN 'FAILED' THEN status ELSE 'PENDING' END
            WHERE id = v_task.id;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY
    UPDATE task t SET token = nextval('run_number'), job = p_job, running_since = clock_timestamp(),
        place = t.place OR t.schedule <> 'NOW_SYNC', waiting = NULL, updated_at = now(),
        status = CASE t.status WHEN 'FAILED' THEN t.status ELSE 'ACTIVE' END
    WHERE t.id = v_task.id
    RETURNING t.id, t.token, t.installation, v_installation.revision, t.descriptor, t.state, t.attempts, t.cancelled;
END
$$;

-- Ends a run: its outcome, the task's next time, and, with p_take, the start of the next task in line
-- under the same job. Outcomes: SUCCEEDED, FAILED, STOPPED (told to), RETURNED (the worker is going
-- away; run it again). `what` is LOST (the run was superseded, nothing is written), JOB (to be handed
-- to the engine in the same transaction) or RUN (begun, go on with it). With p_alone the statement is
-- the whole transaction: what may need a job is then left as it was, and `what` is JOB without a task.
CREATE FUNCTION finish_run(
    p_installation integer, p_task uuid, p_token bigint, p_outcome text, p_error text, p_retry interval,
    p_counts integer[], p_take boolean, p_alone boolean
)
RETURNS TABLE (
    what text, task uuid, generation bigint, delay interval, token bigint, installation integer,
    revision integer, descriptor text, state text, attempts integer
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_installation installation;
    v_before task;
    v_after task;
BEGIN
    SELECT i.* INTO v_installation FROM installation i WHERE i.id = p_installation FOR NO KEY UPDATE;
    SELECT t.* INTO v_before FROM task t WHERE t.id = p_task AND t.token = p_token FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'LOST', p_task, 0::bigint, interval '0', p_token, p_installation, 0, '', '', 0;
        RETURN;
    END IF;
    -- Only an end that frees its place for the next in line, under the same job, surely needs no other.
    IF p_alone AND (p_outcome <> 'SUCCEEDED' OR v_before.again OR v_before.schedule = 'EVERY' OR NOT v_before.place
                    OR NOT p_take OR v_installation.status <> 'INSTALLED') THEN
        RETURN QUERY SELECT 'JOB', NULL::uuid, 0::bigint, interval '0', p_token, p_installation, 0, '', '', 0;
        RETURN;
    END IF;
    UPDATE task t SET token = NULL, job = NULL, running_since = NULL, place = false, again = false,
        cancelled = false, updated_at = now(), generation = t.generation + 1,
        last_run_at = t.running_since,
        last_success_at = CASE WHEN p_outcome = 'SUCCEEDED' THEN now() ELSE t.last_success_at END,
        error = CASE p_outcome WHEN 'SUCCEEDED' THEN NULL WHEN 'RETURNED' THEN t.error ELSE p_error END,
        attempts = CASE p_outcome WHEN 'SUCCEEDED' THEN 0 WHEN 'RETURNED' THEN t.attempts ELSE t.attempts + 1 END,
        next_run_at = CASE
            WHEN t.again OR p_outcome = 'RETURNED' THEN t.next_run_at
            WHEN p_outcome = 'STOPPED' THEN NULL
            WHEN p_retry IS NOT NULL THEN now() + p_retry
            -- From start to start, on the beat it began with; a run longer than its period skips.
            WHEN t.schedule = 'EVERY' THEN t.next_run_at + t.period * greatest(1, ceil(
                extract(epoch FROM now() - t.next_run_at) / extract(epoch FROM t.period)))
            END,
        status = CASE
            WHEN p_outcome = 'RETURNED' AND t.status = 'FAILED' THEN 'FAILED'
            WHEN t.again OR p_outcome = 'RETURNED' THEN CASE WHEN t.next_run_at > now() THEN 'ACTIVE' ELSE 'PENDING' END
            WHEN p_outcome IN ('FAILED', 'STOPPED') THEN p_outcome
            WHEN t.schedule = 'EVERY' THEN 'ACTIVE'
            ELSE 'TERMINATED' END,
        waiting = CASE WHEN (t.again OR p_outcome = 'RETURNED') AND t.next_run_at <= now() AND t.schedule <> 'NOW_SYNC'
                       THEN nextval('task_line') END
    WHERE t.id = p_task RETURNING t.* INTO v_after;

    INSERT INTO run VALUES (p_token, p_task, p_installation, v_before.running_since, clock_timestamp(), p_outcome,
        p_error, p_counts[1], p_counts[2], p_counts[3], p_counts[4], p_counts[5]);

    -- Told once when a task starts to fail, and once when it is well again.
    IF p_outcome IN ('SUCCEEDED', 'FAILED') AND (v_before.attempts = 0) = (p_outcome = 'FAILED') THEN
        INSERT INTO event (installation, type, object, part, facts)
        VALUES (p_installation, CASE p_outcome WHEN 'FAILED' THEN 'TASK_FAILED' ELSE 'TASK_RECOVERED' END,
                p_task, md5(p_token::text)::uuid,
                json_build_object('descriptor', v_after.descriptor::json, 'error', p_error)::text);
    END IF;

    IF v_after.next_run_at IS NOT NULL AND v_after.waiting IS NULL THEN
        RETURN QUERY SELECT 'JOB', v_after.id, v_after.generation,
            greatest(v_after.next_run_at - now(), interval '0'), 0::bigint, 0, 0, '', '', 0;
    END IF;
    IF p_take AND v_before.place AND v_installation.status = 'INSTALLED' THEN
        -- The place goes to the next in line; when there is one, all the others were taken.
        RETURN QUERY
        UPDATE task t SET token = nextval('run_number'), job = v_before.job, running_since = clock_timestamp(),
            place = true, waiting = NULL, updated_at = now(),
            status = CASE t.status WHEN 'FAILED' THEN t.status ELSE 'ACTIVE' END
        WHERE t.id = (SELECT n.id FROM task n WHERE n.installation = p_installation AND n.waiting IS NOT NULL
                      ORDER BY n.waiting LIMIT 1)
        RETURNING 'RUN', t.id, t.generation, interval '0', t.token, t.installation, v_installation.revision,
                  t.descriptor, t.state, t.attempts;
        IF p_alone THEN RETURN; END IF;
    END IF;
    RETURN QUERY SELECT 'JOB', a.task, a.generation, a.delay, 0::bigint, 0, 0, '', '', 0
                 FROM admit_tasks(p_installation) a;
END
$$;

-- Gives a task that nobody works on any more back to the line: its job is gone from the engine.
CREATE FUNCTION recover_task(p_task uuid, p_generation bigint)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_installation integer;
    v_task task;
BEGIN
    SELECT t.installation INTO v_installation FROM task t WHERE t.id = p_task;
    PERFORM FROM installation i WHERE i.id = v_installation FOR NO KEY UPDATE;
    SELECT t.* INTO v_task FROM task t WHERE t.id = p_task AND t.generation = p_generation FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    IF v_task.token IS NOT NULL THEN
        INSERT INTO run VALUES (v_task.token, v_task.id, v_task.installation, v_task.running_since,
            now(), 'CRASHED', 'The worker died, or lost the database.', 0, 0, 0, 0, 0);
    END IF;
    UPDATE task SET token = NULL, job = NULL, running_since = NULL, place = false, again = false, cancelled = false,
        generation = generation + 1, waiting = nextval('task_line')
    WHERE id = p_task;
    RETURN QUERY SELECT * FROM admit_tasks(v_installation);
END
$$;
