-- Accounts that people look at together, and bank accounts that they keep here and make known to providers.

CREATE TABLE pool (
    id         uuid PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pool_list ON pool (created_at, id);

-- Named by people, so it outlives a reset of the installation: the account comes back under the same key.
-- An uninstall takes it away.
CREATE TABLE pool_account (
    pool         uuid NOT NULL REFERENCES pool (id) ON DELETE CASCADE,
    account      uuid NOT NULL,
    installation integer NOT NULL REFERENCES installation (id) ON DELETE CASCADE,
    PRIMARY KEY (pool, account)
);
-- The pools of an account; the accounts of an installation.
CREATE INDEX pool_account_account ON pool_account (account);
CREATE INDEX pool_account_installation ON pool_account (installation);

CREATE TABLE bank_account (
    id                   uuid PRIMARY KEY,
    name                 text COLLATE "C" NOT NULL,
    country              text COLLATE "C" NOT NULL,
    -- IBAN and account number, sealed together; see storage/vault.py.
    numbers              bytea NOT NULL,
    -- What is shown of them, made when they came: nobody who shows a bank account has to open it.
    shown_iban           text COLLATE "C" NOT NULL,
    shown_account_number text COLLATE "C" NOT NULL,
    -- Names a bank and no account; anybody can look it up.
    bic                  text COLLATE "C" NOT NULL,
    metadata             jsonb,
    -- Grows with every change; each is told as an event of its own.
    version              integer NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bank_account_list ON bank_account (created_at, id);

-- A bank account made known to an installation's provider, or on the way there. Written before the
-- provider is asked: whoever asks again does so under the same key, with the same words.
CREATE TABLE bank_account_forward (
    bank_account    uuid NOT NULL REFERENCES bank_account (id),
    installation    integer NOT NULL REFERENCES installation (id) ON DELETE CASCADE,
    id              uuid NOT NULL,
    -- What is sent after a refusal is something new, under another key.
    attempt         integer NOT NULL DEFAULT 1,
    refused         boolean NOT NULL DEFAULT false,
    idempotency_key text COLLATE "C" NOT NULL,
    metadata        jsonb,
    -- The account that the provider has made of it, and since when.
    account         uuid,
    related_at      timestamptz,
    PRIMARY KEY (bank_account, installation)
);
CREATE INDEX bank_account_forward_installation ON bank_account_forward (installation);
