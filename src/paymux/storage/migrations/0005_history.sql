-- What accounts said before, and what people say about payments.

-- Each version of an account that another one has replaced. Append-only; functions/accounts.sql fills it.
CREATE TABLE account_version (
    account       uuid NOT NULL,
    version       integer NOT NULL,
    type          text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    default_asset text COLLATE "C" NOT NULL,
    metadata      jsonb,
    raw           text,
    run           bigint,
    created_at    timestamptz NOT NULL,
    -- From when until when it was what the provider said.
    since         timestamptz NOT NULL,
    until         timestamptz NOT NULL,
    PRIMARY KEY (account, version)
);

-- Metadata that people have set, by key. `metadata` is what is shown and searched: the provider's, under these.
ALTER TABLE payment ADD COLUMN annotations jsonb;

-- Each value that somebody has set. Append-only.
CREATE TABLE annotation (
    payment    uuid NOT NULL,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    key        text NOT NULL,
    value      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment, number)
);
