-- What operators do, by the functions in functions/operators.sql. One row for each job to hand to the engine.

-- name: run
SELECT task, generation, delay FROM run_task($1, $2);

-- name: cancel
SELECT task, generation, delay FROM cancel_task($1, $2, 'Told to stop.');

-- name: pause
SELECT task, generation, delay FROM pause_task($1, $2);

-- name: resume
SELECT task, generation, delay FROM resume_task($1, $2);

-- name: pause_installation
SELECT pause_installation($1);

-- name: resume_installation
SELECT task, generation, delay FROM resume_installation($1);

-- name: clear_login
SELECT task, generation, delay FROM clear_login($1);
