-- Money out: orders to move it, what happened to each, and every attempt to have it done.

CREATE TABLE transfer (
    -- A hash of installation and reference: a reference is there once for each installation.
    key                   uuid PRIMARY KEY,
    installation          integer NOT NULL REFERENCES installation (id),
    reference             text COLLATE "C" NOT NULL,
    type                  text COLLATE "C" NOT NULL CHECK (type IN ('TRANSFER', 'PAYOUT')),
    description           text NOT NULL,
    -- As it was ordered, and how much of it has been taken back.
    amount                numeric NOT NULL CHECK (amount > 0),
    reversed              numeric NOT NULL DEFAULT 0 CHECK (reversed BETWEEN 0 AND amount),
    asset                 text COLLATE "C" NOT NULL,
    -- With their references: accounts are read anew after a reset, what was ordered stays.
    source                uuid,
    source_reference      text COLLATE "C",
    destination           uuid NOT NULL,
    destination_reference text COLLATE "C" NOT NULL,
    metadata              jsonb,
    -- Whether it was approved by whoever made it.
    validated             boolean NOT NULL,
    scheduled_at          timestamptz,
    status                text COLLATE "C" NOT NULL CHECK (status IN (
        'WAITING_FOR_VALIDATION', 'VALIDATED', 'PROCESSING', 'UNKNOWN', 'PROCESSED', 'FAILED', 'REJECTED',
        'ASK_RETRIED', 'ASK_REVERSED', 'REVERSE_PROCESSING', 'REVERSE_UNKNOWN', 'REVERSE_FAILED',
        'PARTIALLY_REVERSED', 'REVERSED')),
    error                 text NOT NULL DEFAULT '',
    -- How many adjustments and attempts there are; the last attempt is the one that is under way, if any.
    adjustments           integer NOT NULL DEFAULT 0,
    attempts              integer NOT NULL DEFAULT 0,
    -- When there is something to be done for it. A job of another generation is void.
    due_at                timestamptz,
    generation            bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    -- Who is at it, and under which of the engine's jobs. What anybody else has to say is refused.
    token                 bigint,
    job                   bigint,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transfer_list ON transfer (created_at DESC, key DESC);
CREATE INDEX transfer_installation ON transfer (installation, created_at DESC, key DESC);
CREATE INDEX transfer_due ON transfer (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transfer_unknown ON transfer (created_at, key) WHERE status IN ('UNKNOWN', 'REVERSE_UNKNOWN');

-- What happened, in order. Append-only: the status is what follows from all of it.
CREATE TABLE transfer_adjustment (
    transfer   uuid NOT NULL REFERENCES transfer (key),
    number     integer NOT NULL,
    -- NULL for the first, which is how it began.
    event      text COLLATE "C",
    status     text COLLATE "C" NOT NULL,
    error      text NOT NULL DEFAULT '',
    -- Of what a person did: what they had to say about it.
    note       text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (transfer, number)
);

-- An amount to be taken back.
CREATE TABLE transfer_reversal (
    key         uuid PRIMARY KEY,
    transfer    uuid NOT NULL REFERENCES transfer (key),
    reference   text COLLATE "C" NOT NULL,
    description text NOT NULL,
    amount      numeric NOT NULL CHECK (amount > 0),
    metadata    jsonb,
    status      text COLLATE "C" NOT NULL DEFAULT 'PROCESSING' CHECK (status IN ('PROCESSING', 'PROCESSED', 'FAILED')),
    error       text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transfer_reversal_of ON transfer_reversal (transfer);

-- One logical attempt, with the key that the provider gets with every call that is made for it.
CREATE TABLE transfer_attempt (
    transfer     uuid NOT NULL REFERENCES transfer (key),
    number       integer NOT NULL,
    -- NULL for the order itself.
    reversal     uuid REFERENCES transfer_reversal (key),
    key          text COLLATE "C" NOT NULL,
    -- READY: surely not at the provider. SENDING: it may be, stored before each call. ACCEPTED: it is, and
    -- has not come to its end. UNKNOWN: nobody can say. SUCCEEDED and FAILED: it has come to its end.
    state        text COLLATE "C" NOT NULL DEFAULT 'READY'
                 CHECK (state IN ('READY', 'SENDING', 'ACCEPTED', 'UNKNOWN', 'SUCCEEDED', 'FAILED')),
    -- What the provider calls it, where it has said so.
    handle       text,
    error        text NOT NULL DEFAULT '',
    -- Calls that were begun, and how often it was looked up since the last of them.
    sends        integer NOT NULL DEFAULT 0,
    looks        integer NOT NULL DEFAULT 0,
    sent_at      timestamptz,
    -- Since when nobody can say; no call is under way that began before.
    unknown_at   timestamptz,
    looked_up_at timestamptz,
    -- The provider has taken it, whatever it says later.
    accepted     boolean NOT NULL DEFAULT false,
    -- Looking it up has not helped.
    stuck        boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz,
    PRIMARY KEY (transfer, number)
);

-- Payments that the provider made of an order. Not bound to their rows, which a reset reads anew.
CREATE TABLE transfer_payment (
    transfer   uuid NOT NULL REFERENCES transfer (key),
    payment    uuid NOT NULL,
    attempt    integer NOT NULL,
    reference  text COLLATE "C" NOT NULL,
    type       text COLLATE "C" NOT NULL,
    status     text COLLATE "C" NOT NULL,
    error      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (transfer, payment)
);
