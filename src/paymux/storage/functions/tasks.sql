-- Task bookkeeping. Each function locks the installation's row first and tasks after it, always in
-- that order, so that places are never given out twice, nobody is left waiting beside a free one,
-- and two of them cannot wait for each other.

-- The task that a descriptor names: "scan", or {"read":{…}} with its arguments. NULL for any other form, and
-- for what is too long to be a name. No regular expression: it would cost more than the rest of the row.
CREATE FUNCTION task_name(p_descriptor text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(n.name) BETWEEN 1 AND 200 AND strpos(n.name, '\') = 0
                 AND (p_descriptor = '"' || n.name || '"' OR starts_with(p_descriptor, '{"' || n.name || '":{'))
           THEN n.name END
    FROM (SELECT split_part(p_descriptor, '"', 2) AS name) n
$$;

-- How many tasks of an installation may run at a time: none while it is paused, or its credentials are dead.
CREATE FUNCTION places_of(p installation) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p.paused OR p.login_error IS NOT NULL THEN 0 ELSE p.max_tasks END
$$;

-- Gives free places to the tasks that have waited longest; returns the jobs to hand to the engine.
-- The caller holds the installation's lock.
CREATE FUNCTION admit_tasks(p_installation integer)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE sql AS $$
    WITH free AS (
        SELECT places_of(i) - (SELECT count(*) FROM task t WHERE t.installation = i.id AND t.place) AS places
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

-- Takes the places of an installation's tasks away: what runs is told to stop, and what it was to do waits
-- in line, as does what had a place and no worker yet. The caller holds the installation's lock and has
-- seen to it that it has no places.
CREATE FUNCTION halt_tasks(p_installation integer) RETURNS void
LANGUAGE sql AS $$
    -- One that a person has told to stop stays stopped.
    UPDATE task SET interrupted = interrupted OR NOT cancelled, cancelled = true
    WHERE job IS NOT NULL AND token IS NOT NULL AND installation = p_installation;
    UPDATE task SET place = false, waiting = nextval('task_line'), generation = generation + 1
    WHERE place AND token IS NULL AND installation = p_installation;
$$;

-- Schedules tasks of one installation, many at once, each by its restart option; returns the jobs to
-- hand to the engine in the same transaction. One that is paused takes the new schedule and stays paused.
-- Ids must not repeat within one call.
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
        INSERT INTO task AS t (id, installation, descriptor, name, schedule, period, restart, status, next_run_at,
                               waiting)
        SELECT i.id, p_installation, i.descriptor, task_name(i.descriptor), i.schedule, i.period, i.restart,
               CASE WHEN i.due <= now() THEN 'PENDING' ELSE 'ACTIVE' END, i.due,
               -- NOW_SYNC needs no place: somebody waits for it, who may hold the last one.
               CASE WHEN i.due <= now() AND i.schedule <> 'NOW_SYNC' THEN nextval('task_line') END
        FROM input i
        -- Most of what is scheduled with NEVER exists: leave it before it costs a row lock.
        WHERE i.restart <> 'NEVER' OR NOT EXISTS (SELECT FROM task e WHERE e.id = i.id)
        ORDER BY i.ord
        ON CONFLICT (id) DO UPDATE SET
            schedule = excluded.schedule, period = excluded.period, restart = excluded.restart,
            next_run_at = excluded.next_run_at, beat = NULL, updated_at = now(),
            again = t.token IS NOT NULL,
            cancelled = t.token IS NOT NULL AND (t.cancelled OR excluded.restart = 'STOP_AND_RESTART'),
            status = CASE WHEN t.paused THEN 'STOPPED' WHEN t.token IS NULL THEN excluded.status ELSE t.status END,
            attempts = CASE WHEN t.token IS NULL THEN 0 ELSE t.attempts END,
            -- The job of a task that holds a place is out; it stays valid when the task is still due.
            generation = t.generation + CASE WHEN t.token IS NULL AND NOT (
                t.place AND excluded.next_run_at <= now() AND excluded.schedule <> 'NOW_SYNC') THEN 1 ELSE 0 END,
            place = t.place AND (t.token IS NOT NULL OR (
                excluded.next_run_at <= now() AND excluded.schedule <> 'NOW_SYNC')),
            waiting = CASE WHEN t.token IS NULL AND NOT t.place AND NOT t.paused AND excluded.waiting IS NOT NULL
                THEN coalesce(t.waiting, excluded.waiting) END
        WHERE excluded.restart IN ('ALWAYS', 'STOP_AND_RESTART')
           OR (excluded.restart = 'IF_NOT_ACTIVE' AND t.token IS NULL AND t.status NOT IN ('ACTIVE', 'PENDING'))
        RETURNING t.id, t.generation, t.next_run_at, t.token, t.schedule, t.paused
    )
    SELECT w.id, w.generation, greatest(w.next_run_at - now(), interval '0') FROM written w
    WHERE w.token IS NULL AND NOT w.paused AND (w.next_run_at > now() OR w.schedule = 'NOW_SYNC');

    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Starts the run that a job stands for; no row when there is nothing to do: the job is void, or was
-- delivered twice, or its task now waits in line. Taking over a dead worker's job starts a new run
-- of whatever task ran under it, with a new token, which locks the old run out. One that was told to
-- stop before its worker died is still `cancelled`: it is begun only to be ended. So may be one that was
-- taken over often: `crashes` says how often in a row. Here and of a RUN below, `delay` is for how long
-- the task had been due.
CREATE FUNCTION begin_run(p_job bigint, p_task uuid, p_generation bigint)
RETURNS TABLE (
    task uuid, token bigint, installation integer, revision integer, descriptor text, state text, attempts integer,
    cancelled boolean, crashes integer, delay interval
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_installation installation;
    v_task task;
    v_places integer;
    v_crashes integer := 0;
BEGIN
    SELECT i.* INTO v_installation FROM installation i
    WHERE i.id = (SELECT t.installation FROM task t WHERE t.id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND OR v_installation.status = 'UNINSTALLING' THEN RETURN; END IF;

    SELECT t.* INTO v_task FROM task t WHERE t.job = p_job AND t.token IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        INSERT INTO run VALUES (v_task.token, v_task.id, v_task.installation, v_task.running_since,
            now(), 'CRASHED', 'The worker died, or lost the database.', 0, 0, 0, 0, 0);
        v_crashes := v_task.crashes + 1;
    ELSE
        SELECT t.* INTO v_task FROM task t
        WHERE t.id = p_task AND t.generation = p_generation AND t.token IS NULL AND NOT t.paused FOR UPDATE;
        IF NOT FOUND THEN RETURN; END IF;
        v_places := places_of(v_installation);
        IF v_places = 0 OR (NOT v_task.place AND v_task.schedule <> 'NOW_SYNC' AND v_places <=
            (SELECT count(*) FROM task t WHERE t.installation = v_installation.id AND t.place))
        THEN
            UPDATE task SET place = false, waiting = coalesce(waiting, nextval('task_line')),
                status = CASE status WHEN 'FAILED' THEN status ELSE 'PENDING' END
            WHERE id = v_task.id;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY
    UPDATE task t SET token = nextval('run_number'), job = p_job, running_since = clock_timestamp(),
        crashes = greatest(t.crashes, v_crashes),
        -- Who takes over has the place that there was.
        place = t.place OR (v_task.token IS NULL AND t.schedule <> 'NOW_SYNC'), waiting = NULL, updated_at = now(),
        status = CASE WHEN t.paused OR t.status = 'FAILED' THEN t.status ELSE 'ACTIVE' END
    WHERE t.id = v_task.id
    RETURNING t.id, t.token, t.installation, v_installation.revision, t.descriptor, t.state, t.attempts, t.cancelled,
              v_crashes, t.running_since - t.next_run_at;
END
$$;

-- The next time of a periodic task: from start to start, on the beat it began with; a run longer than its
-- period skips.
CREATE FUNCTION next_beat(p_last timestamptz, p_period interval) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT p_last + p_period * greatest(1, ceil(
        extract(epoch FROM now() - p_last) / extract(epoch FROM p_period)))
$$;

-- Ends a run: its outcome, the task's next time, and, with p_take, the start of the next task in line
-- under the same job. Outcomes: SUCCEEDED, FAILED, STOPPED (told to), RETURNED (the worker is going
-- away; run it again). `what` is LOST (the run was superseded, nothing is written), JOB (to be handed
-- to the engine in the same transaction) or RUN (begun, go on with it).
-- p_fault: LOGIN (the credentials of config p_revision are dead: everything waits for others), CONFIG, or
-- CRASH (it did not end by itself: whoever runs it died).
CREATE FUNCTION finish_run(
    p_installation integer, p_task uuid, p_token bigint, p_outcome text, p_error text, p_retry interval,
    p_fault text, p_revision integer, p_counts integer[], p_take boolean
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
    v_outcome text := p_outcome;
    v_error text := p_error;
    v_retry interval := p_retry;
    v_same boolean;
    v_line boolean;
    v_next timestamptz;
BEGIN
    SELECT i.* INTO v_installation FROM installation i WHERE i.id = p_installation FOR NO KEY UPDATE;
    SELECT t.* INTO v_before FROM task t WHERE t.id = p_task AND t.token = p_token FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'LOST', p_task, 0::bigint, interval '0', p_token, p_installation, 0, '', '', 0;
        RETURN;
    END IF;
    IF v_before.cancelled AND NOT v_before.interrupted THEN
        -- A person has stopped it: neither its worker's going away nor a failure brings it back.
        v_retry := NULL;
        IF p_outcome = 'RETURNED' THEN
            v_outcome := 'STOPPED';
            v_error := 'Told to stop.';
        END IF;
    ELSIF p_fault = 'LOGIN' THEN
        v_retry := interval '0';
    END IF;
    -- Whether what was to run is to run still, as it was or as it has been scheduled since.
    v_same := v_before.again OR v_outcome = 'RETURNED' OR (v_outcome = 'STOPPED' AND v_before.interrupted);
    v_next := CASE
        WHEN v_same THEN v_before.next_run_at
        WHEN v_retry IS NOT NULL THEN now() + v_retry
        WHEN v_before.schedule = 'EVERY' THEN
            next_beat(coalesce(v_before.beat, v_before.next_run_at), v_before.period) END;
    v_line := v_next <= now() AND NOT v_before.paused
              AND ((v_same AND v_before.schedule <> 'NOW_SYNC') OR p_fault = 'LOGIN');
    UPDATE task t SET token = NULL, job = NULL, running_since = NULL, place = false, again = false,
        cancelled = false, interrupted = false, updated_at = now(), generation = t.generation + 1,
        last_run_at = t.running_since,
        last_success_at = CASE WHEN v_outcome = 'SUCCEEDED' THEN now() ELSE t.last_success_at END,
        error = CASE
            WHEN v_outcome = 'SUCCEEDED' THEN NULL
            -- Of one that will run again, what it last failed with says more than who stopped it.
            WHEN v_outcome = 'RETURNED' OR (v_outcome = 'STOPPED' AND v_next IS NOT NULL) THEN t.error
            ELSE v_error END,
        fault = CASE v_outcome WHEN 'SUCCEEDED' THEN NULL WHEN 'FAILED' THEN p_fault ELSE t.fault END,
        attempts = CASE v_outcome WHEN 'SUCCEEDED' THEN 0 WHEN 'FAILED' THEN least(t.attempts, 2147483646) + 1
                                  ELSE t.attempts END,
        -- Whatever else it came to, it left its worker alive.
        crashes = CASE WHEN v_outcome = 'RETURNED' OR p_fault = 'CRASH' THEN t.crashes ELSE 0 END,
        next_run_at = v_next,
        beat = CASE
            WHEN v_same THEN t.beat
            WHEN v_retry IS NOT NULL AND t.schedule = 'EVERY' THEN coalesce(t.beat, t.next_run_at) END,
        status = CASE
            WHEN v_next IS NULL THEN CASE v_outcome WHEN 'SUCCEEDED' THEN 'TERMINATED' ELSE v_outcome END
            WHEN t.paused THEN 'STOPPED'
            WHEN v_outcome = 'FAILED' AND NOT t.again THEN 'FAILED'
            -- As it was before, for this run has shown nothing.
            WHEN v_outcome IN ('RETURNED', 'STOPPED') AND t.attempts > 0 THEN 'FAILED'
            WHEN v_same AND v_next <= now() THEN 'PENDING'
            ELSE 'ACTIVE' END,
        waiting = CASE WHEN v_line THEN nextval('task_line') END
    WHERE t.id = p_task RETURNING t.* INTO v_after;

    INSERT INTO run VALUES (p_token, p_task, p_installation, v_before.running_since, clock_timestamp(), v_outcome,
        v_error, p_counts[1], p_counts[2], p_counts[3], p_counts[4], p_counts[5]);

    -- Told once when a task starts to fail, and once when it is well again.
    IF v_outcome IN ('SUCCEEDED', 'FAILED') AND (v_before.attempts = 0) = (v_outcome = 'FAILED') THEN
        INSERT INTO event (installation, type, object, part, facts)
        VALUES (p_installation, CASE v_outcome WHEN 'FAILED' THEN 'TASK_FAILED' ELSE 'TASK_RECOVERED' END,
                p_task, md5(p_token::text)::uuid,
                json_build_object('descriptor', v_after.descriptor::json, 'error', p_error)::text);
    END IF;
    -- Unless they were changed since this run began.
    IF p_fault = 'LOGIN' AND v_installation.revision = p_revision THEN
        UPDATE installation i SET login_error = p_error, updated_at = now()
        WHERE i.id = p_installation RETURNING i.* INTO v_installation;
        PERFORM halt_tasks(p_installation);
    END IF;

    IF v_after.next_run_at IS NOT NULL AND v_after.waiting IS NULL AND NOT v_after.paused THEN
        RETURN QUERY SELECT 'JOB', v_after.id, v_after.generation,
            greatest(v_after.next_run_at - now(), interval '0'), 0::bigint, 0, 0, '', '', 0;
    END IF;
    IF p_take AND v_before.place AND v_installation.status = 'INSTALLED' AND places_of(v_installation) > 0 THEN
        -- The place goes to the next in line; when there is one, all the others were taken.
        RETURN QUERY
        UPDATE task t SET token = nextval('run_number'), job = v_before.job, running_since = clock_timestamp(),
            place = true, waiting = NULL, updated_at = now(),
            status = CASE t.status WHEN 'FAILED' THEN t.status ELSE 'ACTIVE' END
        WHERE t.id = (SELECT n.id FROM task n WHERE n.installation = p_installation AND n.waiting IS NOT NULL
                      ORDER BY n.waiting LIMIT 1)
        RETURNING 'RUN', t.id, t.generation, t.running_since - t.next_run_at, t.token, t.installation, v_installation.revision,
                  t.descriptor, t.state, t.attempts;
    END IF;
    RETURN QUERY SELECT 'JOB', a.task, a.generation, a.delay, 0::bigint, 0, 0, '', '', 0
                 FROM admit_tasks(p_installation) a;
END
$$;

-- Ends runs that went well, each for itself, and begins the next in line under the job of each: as finish_run
-- would with p_take, in a quarter of the time. Only of tasks that are done with it and free a place, for then
-- no job is needed; any other is left as it was. `what` is ENDED, with the run that was begun, if any; LOST, or
-- LEFT. A statement sees what was committed before it, so the locks come before the look at the tasks.
CREATE FUNCTION finish_runs(
    p_installations integer[], p_tasks uuid[], p_tokens bigint[], p_seen integer[], p_added integer[],
    p_changed integer[], p_unchanged integer[], p_aside integer[]
)
RETURNS TABLE (
    ord bigint, what text, task uuid, token bigint, installation integer, revision integer, descriptor text,
    state text, attempts integer, delay interval
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM installation i WHERE i.id = ANY (p_installations) ORDER BY i.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH held AS MATERIALIZED (
        SELECT n.*, t.job, t.running_since, t.id IS NULL AS lost, i.revision,
               t.place AND t.schedule <> 'EVERY' AND t.attempts = 0 AND NOT (t.again OR t.cancelled OR t.paused)
               AND i.status = 'INSTALLED' AND places_of(i) > 0 AS plain
        FROM unnest(p_installations, p_tasks, p_tokens, p_seen, p_added, p_changed, p_unchanged, p_aside)
             WITH ORDINALITY AS n (installation, task, token, seen, added, changed, unchanged, aside, ord)
        LEFT JOIN installation i ON i.id = n.installation
        LEFT JOIN task t ON t.id = n.task AND t.token = n.token
    ), ended AS (
        UPDATE task t SET token = NULL, job = NULL, running_since = NULL, place = false, updated_at = now(),
            generation = t.generation + 1, last_run_at = t.running_since, last_success_at = now(), error = NULL,
            fault = NULL, crashes = 0, next_run_at = NULL, beat = NULL, waiting = NULL, status = 'TERMINATED'
        FROM held h WHERE h.plain AND t.id = h.task AND t.token = h.token
        RETURNING h.ord
    ), places AS MATERIALIZED (
        SELECT h.*, row_number() OVER (PARTITION BY h.installation ORDER BY h.ord) AS turn
        FROM held h WHERE h.ord IN (SELECT e.ord FROM ended e)
    ), written AS (
        INSERT INTO run
        SELECT p.token, p.task, p.installation, p.running_since, clock_timestamp(), 'SUCCEEDED', NULL, p.seen, p.added,
               p.changed, p.unchanged, p.aside
        FROM places p
    ), line AS MATERIALIZED (
        SELECT n.id, p.installation, row_number() OVER (PARTITION BY p.installation ORDER BY n.waiting) AS turn
        FROM (SELECT p.installation, count(*) AS free FROM places p GROUP BY p.installation) p,
             LATERAL (SELECT t.id, t.waiting FROM task t
                      WHERE t.installation = p.installation AND t.waiting IS NOT NULL
                      ORDER BY t.waiting LIMIT p.free) n
    ), begun AS (
        UPDATE task t SET token = nextval('run_number'), job = p.job, running_since = clock_timestamp(),
            place = true, waiting = NULL, updated_at = now(),
            status = CASE t.status WHEN 'FAILED' THEN t.status ELSE 'ACTIVE' END
        FROM line l JOIN places p ON p.installation = l.installation AND p.turn = l.turn
        WHERE t.id = l.id
        RETURNING p.ord, t.id, t.token, t.installation, t.descriptor, t.state, t.attempts,
                  t.running_since - t.next_run_at AS delay
    )
    SELECT h.ord, CASE WHEN h.lost THEN 'LOST' WHEN p.ord IS NULL THEN 'LEFT' ELSE 'ENDED' END, b.id, b.token,
           b.installation, h.revision, b.descriptor, b.state, b.attempts, b.delay
    FROM held h LEFT JOIN places p ON p.ord = h.ord LEFT JOIN begun b ON b.ord = h.ord
    ORDER BY h.ord;
END
$$;

-- Gives a task that nobody works on any more back to the line: its job is gone from the engine. One that was
-- told to stop has stopped.
CREATE FUNCTION recover_task(p_task uuid, p_generation bigint)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_installation integer;
    v_task task;
    v_stopped boolean;
BEGIN
    SELECT t.installation INTO v_installation FROM task t WHERE t.id = p_task;
    PERFORM FROM installation i WHERE i.id = v_installation FOR NO KEY UPDATE;
    SELECT t.* INTO v_task FROM task t WHERE t.id = p_task AND t.generation = p_generation FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    IF v_task.token IS NOT NULL THEN
        INSERT INTO run VALUES (v_task.token, v_task.id, v_task.installation, v_task.running_since,
            now(), 'CRASHED', 'The worker died, or lost the database.', 0, 0, 0, 0, 0);
    END IF;
    v_stopped := v_task.cancelled AND NOT v_task.interrupted AND NOT v_task.again AND v_task.schedule <> 'EVERY';
    UPDATE task SET token = NULL, job = NULL, running_since = NULL, place = false, again = false, cancelled = false,
        interrupted = false, generation = generation + 1,
        waiting = CASE WHEN NOT paused AND NOT v_stopped THEN nextval('task_line') END,
        next_run_at = CASE WHEN NOT v_stopped THEN next_run_at END,
        status = CASE
            WHEN paused OR v_stopped THEN 'STOPPED'
            WHEN status = 'FAILED' THEN status
            ELSE 'PENDING' END
    WHERE id = p_task;
    RETURN QUERY SELECT * FROM admit_tasks(v_installation);
END
$$;
