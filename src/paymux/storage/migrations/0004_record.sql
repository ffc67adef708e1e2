-- What lists are asked by. Every index costs on the way in, so there is none of references (a payment's key
-- is made of its reference), and none that an existing one serves walked backwards.

-- All columns the same way round: it gives the payments of one status newest first, read from its end, and
-- all payments in order of status.
DROP INDEX payment_status;
CREATE INDEX payment_status ON payment (status, created_at, key);

-- Payments from and to an account.
CREATE INDEX payment_source ON payment (source, created_at, key) WHERE source IS NOT NULL;
CREATE INDEX payment_destination ON payment (destination, created_at, key) WHERE destination IS NOT NULL;

-- Payments by a key and value of their metadata; those without any cost nothing.
CREATE INDEX payment_metadata ON payment USING gin (metadata jsonb_path_ops) WHERE metadata IS NOT NULL;

-- The history of an account, all assets together.
CREATE INDEX balance_list ON balance (account, created_at, asset);
