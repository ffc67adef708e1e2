-- What operators do to tasks and installations. Locks are taken as in tasks.sql: the installation first.
-- What makes no sense is refused with PX003 and a sentence for whoever asked.

-- Locks a task of an installation, and the installation before it; NULL when there is no such task.
CREATE FUNCTION lock_task(p_installation integer, p_task uuid) RETURNS task
LANGUAGE plpgsql AS $$
DECLARE
    v_task task;
BEGIN
    PERFORM FROM installation WHERE id = p_installation AND status <> 'UNINSTALLING' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The installation is being removed.' USING ERRCODE = 'PX001';
    END IF;
    SELECT * INTO v_task FROM task WHERE id = p_task AND installation = p_installation FOR UPDATE;
    RETURN v_task;
END
$$;

-- Keeps a task from running until it is resumed; a run under way is told to stop. What was planned stays
-- planned. Its place goes to the next in line: returns the jobs to hand to the engine.
CREATE FUNCTION pause_task(p_installation integer, p_task uuid)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task task := lock_task(p_installation, p_task);
BEGIN
    IF v_task.paused THEN
        RAISE EXCEPTION 'The task is paused already.' USING ERRCODE = 'PX003';
    ELSIF v_task.token IS NULL AND v_task.next_run_at IS NULL THEN
        RAISE EXCEPTION 'Nothing is planned for this task, so there is nothing to pause.' USING ERRCODE = 'PX003';
    END IF;
    UPDATE task t SET paused = true, status = 'STOPPED', updated_at = now(), waiting = NULL,
        place = t.place AND t.token IS NOT NULL,
        -- One that a person has told to stop stays stopped.
        interrupted = t.interrupted OR (t.token IS NOT NULL AND NOT t.cancelled),
        cancelled = t.token IS NOT NULL,
        generation = t.generation + CASE WHEN t.token IS NULL THEN 1 ELSE 0 END
    WHERE t.id = p_task;
    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Lets a paused task run again: what came due meanwhile is due now, once.
CREATE FUNCTION resume_task(p_installation integer, p_task uuid)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task task := lock_task(p_installation, p_task);
BEGIN
    IF NOT v_task.paused THEN
        RAISE EXCEPTION 'The task is not paused.' USING ERRCODE = 'PX003';
    END IF;
    -- One that is still on its way to its end comes back from there; a finished one has nothing to do.
    UPDATE task t SET paused = false, updated_at = now(),
        status = CASE
            WHEN t.token IS NULL AND t.next_run_at IS NULL THEN t.status
            WHEN t.attempts > 0 THEN 'FAILED'
            WHEN t.token IS NULL AND t.next_run_at <= now() THEN 'PENDING'
            ELSE 'ACTIVE' END,
        generation = t.generation + CASE WHEN t.token IS NULL THEN 1 ELSE 0 END,
        waiting = CASE WHEN t.token IS NULL AND t.next_run_at <= now() THEN nextval('task_line') END
    WHERE t.id = p_task RETURNING t.* INTO v_task;
    IF v_task.token IS NULL AND v_task.next_run_at > now() THEN
        RETURN QUERY SELECT v_task.id, v_task.generation, v_task.next_run_at - now();
    END IF;
    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Stops what runs, or what is due. A periodic task goes on with its next beat, any other is STOPPED; what
-- else had been asked of it is forgotten.
CREATE FUNCTION cancel_task(p_installation integer, p_task uuid, p_error text)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task task := lock_task(p_installation, p_task);
BEGIN
    IF v_task.token IS NOT NULL THEN
        UPDATE task t SET cancelled = true, interrupted = false, again = false, updated_at = now()
        WHERE t.id = p_task;
        RETURN;
    ELSIF v_task.paused THEN
        RAISE EXCEPTION 'The task is paused and not running.' USING ERRCODE = 'PX003';
    ELSIF v_task.next_run_at IS NULL THEN
        RAISE EXCEPTION 'The task is not running, and nothing is planned for it.' USING ERRCODE = 'PX003';
    ELSIF v_task.schedule = 'EVERY' AND v_task.next_run_at > now() THEN
        RAISE EXCEPTION 'The task is not running. Pause it to keep it from running.' USING ERRCODE = 'PX003';
    END IF;
    UPDATE task t SET waiting = NULL, place = false, generation = t.generation + 1, updated_at = now(),
        beat = NULL,
        next_run_at = CASE t.schedule WHEN 'EVERY' THEN next_beat(coalesce(t.beat, t.next_run_at), t.period) END,
        status = CASE
            WHEN t.schedule <> 'EVERY' THEN 'STOPPED'
            WHEN t.attempts > 0 THEN 'FAILED'
            ELSE 'ACTIVE' END,
        error = CASE t.schedule WHEN 'EVERY' THEN t.error ELSE p_error END
    WHERE t.id = p_task RETURNING t.* INTO v_task;
    IF v_task.next_run_at IS NOT NULL THEN
        RETURN QUERY SELECT v_task.id, v_task.generation, greatest(v_task.next_run_at - now(), interval '0');
    END IF;
    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Makes a task due now, whatever its status; a periodic one keeps its beat. One that runs is followed by
-- one more run.
CREATE FUNCTION run_task(p_installation integer, p_task uuid)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task task := lock_task(p_installation, p_task);
BEGIN
    IF v_task.paused THEN
        RAISE EXCEPTION 'The task is paused. Resume it first.' USING ERRCODE = 'PX003';
    ELSIF v_task.token IS NULL AND (v_task.place OR v_task.waiting IS NOT NULL) THEN
        RETURN;  -- Due already.
    END IF;
    UPDATE task t SET next_run_at = now(), updated_at = now(),
        beat = CASE WHEN t.schedule = 'EVERY' THEN coalesce(t.beat, CASE
            WHEN t.next_run_at > now() THEN t.next_run_at - t.period ELSE t.next_run_at END) END,
        again = t.token IS NOT NULL,
        waiting = CASE WHEN t.token IS NULL THEN nextval('task_line') END,
        generation = t.generation + CASE WHEN t.token IS NULL THEN 1 ELSE 0 END,
        status = CASE WHEN t.token IS NOT NULL OR t.status = 'FAILED' THEN t.status ELSE 'PENDING' END
    WHERE t.id = p_task;
    RETURN QUERY SELECT * FROM admit_tasks(p_installation);
END
$$;

-- Takes all places of an installation away; whatever comes due waits in line.
CREATE FUNCTION pause_installation(p_installation integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE installation SET paused = true, updated_at = now() WHERE id = p_installation AND NOT paused;
    IF FOUND THEN PERFORM halt_tasks(p_installation); END IF;
END
$$;

-- Gives the places back, also when it was without them because its credentials were dead: they will be tried.
CREATE FUNCTION resume_installation(p_installation integer)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE installation SET paused = false, login_error = NULL, updated_at = now()
    WHERE id = p_installation AND (paused OR login_error IS NOT NULL);
    IF FOUND THEN RETURN QUERY SELECT * FROM admit_tasks(p_installation); END IF;
END
$$;

-- For whoever changes an installation's config: its credentials may be good again. A paused one stays paused.
CREATE FUNCTION clear_login(p_installation integer)
RETURNS TABLE (task uuid, generation bigint, delay interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE installation SET login_error = NULL, updated_at = now()
    WHERE id = p_installation AND login_error IS NOT NULL;
    IF FOUND THEN RETURN QUERY SELECT * FROM admit_tasks(p_installation); END IF;
END
$$;
