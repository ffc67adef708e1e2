-- The ground floor: installations, their tasks and runs, the record of money, the outbox.
-- Everything lives in the schema paymux, which the connection's search_path names.

-- A connector installed with a config. The API calls its identifier connectorID.
CREATE TABLE installation (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid       uuid NOT NULL UNIQUE,
    -- The connector's name as identifiers spell it: EXAMPLE.
    provider   text COLLATE "C" NOT NULL,
    name       text NOT NULL,
    -- Sealed; see storage/vault.py.
    config     bytea NOT NULL,
    -- Grows with every change of config, so that workers know theirs is stale.
    revision   integer NOT NULL DEFAULT 1,
    max_tasks  integer NOT NULL CHECK (max_tasks > 0),
    status     text COLLATE "C" NOT NULL CHECK (status IN ('INSTALLING', 'INSTALLED', 'UNINSTALLING')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX installation_name ON installation (lower(name)) WHERE status <> 'UNINSTALLING';

-- The order in which due tasks wait for a place, and the numbers of runs.
CREATE SEQUENCE task_line;
CREATE SEQUENCE run_number;

CREATE TABLE task (
    -- uuid5 of the installation and the descriptor.
    id              uuid PRIMARY KEY,
    installation    integer NOT NULL REFERENCES installation (id),
    descriptor      text COLLATE "C" NOT NULL,
    schedule        text COLLATE "C" NOT NULL
                    CHECK (schedule IN ('NOW', 'NOW_SYNC', 'AFTER', 'AT', 'EVERY')),
    period          interval CHECK ((schedule = 'EVERY') = (period IS NOT NULL)),
    restart         text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL
                    CHECK (status IN ('PENDING', 'ACTIVE', 'TERMINATED', 'FAILED', 'STOPPED')),
    state           text,
    error           text,
    attempts        integer NOT NULL DEFAULT 0,
    -- Grows whenever what was to run next is replaced; a job of another generation is void.
    generation      bigint NOT NULL DEFAULT 1,
    -- The run that holds the task. Pages and ends of any other run are refused.
    token           bigint,
    -- The engine's job under which it runs: who takes over that job takes over this task.
    job             bigint,
    -- Whether it holds one of the installation's max_tasks places.
    place           boolean NOT NULL DEFAULT false,
    -- Its number in the line for a place.
    waiting         bigint,
    -- Scheduled again while running: one more run follows.
    again           boolean NOT NULL DEFAULT false,
    -- The running one has been told to stop.
    cancelled       boolean NOT NULL DEFAULT false,
    next_run_at     timestamptz,
    running_since   timestamptz,
    last_run_at     timestamptz,
    last_success_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX task_list ON task (installation, created_at DESC, id DESC);
CREATE INDEX task_place ON task (installation) WHERE place;
CREATE INDEX task_waiting ON task (installation, waiting) WHERE waiting IS NOT NULL;
CREATE INDEX task_job ON task (job) WHERE job IS NOT NULL;

-- One execution of a task, written when it ends; a running one is in its task's row.
CREATE TABLE run (
    id           bigint PRIMARY KEY,
    task         uuid NOT NULL,
    installation integer NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL,
    outcome      text COLLATE "C" NOT NULL,
    error        text,
    seen         integer NOT NULL,
    added        integer NOT NULL,
    changed      integer NOT NULL,
    unchanged    integer NOT NULL,
    aside        integer NOT NULL
);
CREATE INDEX run_task ON run (task, id DESC);
CREATE INDEX run_installation ON run (installation, id DESC);

-- Keys of accounts and payments are 16-byte hashes of installation, kind and reference; the long
-- identifiers of the interface are computed where they are shown. No foreign keys on the way in.
CREATE TABLE account (
    key           uuid PRIMARY KEY,
    installation  integer NOT NULL,
    reference     text COLLATE "C" NOT NULL,
    type          text COLLATE "C" NOT NULL,
    name          text NOT NULL DEFAULT '',
    default_asset text COLLATE "C" NOT NULL DEFAULT '',
    metadata      jsonb,
    raw           text,
    -- Of the content; NULL for a stub that only a payment has named so far.
    hash          uuid,
    version       integer NOT NULL DEFAULT 0,
    run           bigint,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_list ON account (created_at DESC, key DESC);
CREATE INDEX account_installation ON account (installation, created_at DESC, key DESC);

-- What an account held, as intervals: [created_at, last_updated_at].
CREATE TABLE balance (
    account         uuid NOT NULL,
    asset           text COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL,
    last_updated_at timestamptz NOT NULL,
    amount          numeric NOT NULL,
    PRIMARY KEY (account, asset, created_at)
);

CREATE TABLE payment (
    key            uuid PRIMARY KEY,
    installation   integer NOT NULL,
    reference      text COLLATE "C" NOT NULL,
    type           text COLLATE "C" NOT NULL,
    -- Part of the identifier that clients hold, so it stays when the provider reclassifies.
    first_type     text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    scheme         text COLLATE "C" NOT NULL,
    asset          text COLLATE "C" NOT NULL,
    amount         numeric NOT NULL,
    initial_amount numeric NOT NULL,
    source         uuid,
    destination    uuid,
    metadata       jsonb,
    -- The latest report: content, identity, time; and the time of the earliest.
    hash           uuid NOT NULL,
    head           uuid NOT NULL,
    head_at        timestamptz NOT NULL,
    first_at       timestamptz NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payment_list ON payment (created_at DESC, key DESC);
CREATE INDEX payment_installation ON payment (installation, created_at DESC, key DESC);
CREATE INDEX payment_status ON payment (status, created_at DESC, key DESC);

-- Every report about a payment, as it was made. Append-only.
CREATE TABLE adjustment (
    payment        uuid NOT NULL,
    report         uuid NOT NULL,
    -- The provider's own name for the report, where it has one.
    reference      text COLLATE "C",
    type           text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    scheme         text COLLATE "C" NOT NULL,
    asset          text COLLATE "C" NOT NULL,
    amount         numeric NOT NULL,
    source         uuid,
    destination    uuid,
    metadata       jsonb,
    reported_at    timestamptz NOT NULL,
    run            bigint,
    raw            text,
    PRIMARY KEY (payment, report)
);

-- Records that could not be understood. The same one seen again only counts up.
CREATE TABLE set_aside (
    id           uuid NOT NULL,
    installation integer NOT NULL,
    task         uuid,
    run          bigint,
    kind         text COLLATE "C" NOT NULL,
    reason       text NOT NULL,
    raw          text,
    seen         integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation, id)
);
CREATE INDEX set_aside_list ON set_aside (installation, created_at DESC, id DESC);

-- The outbox. Thin: a payment's event points at the report it tells of, and the relay builds the
-- payload from that, so an event describes its change and not what came after.
CREATE TABLE event (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation integer,
    type         text COLLATE "C" NOT NULL,
    object       uuid NOT NULL,
    -- With type and object, the event's identity: a payment's report, an account's version …
    part         uuid NOT NULL,
    -- What happened, as compact JSON, where no report holds it.
    facts        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    attempts     integer NOT NULL DEFAULT 0
);
CREATE INDEX event_waiting ON event (seq) WHERE published_at IS NULL;
CREATE INDEX event_installation ON event (installation, seq);
