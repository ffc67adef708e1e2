"""A record of money of any size, filled by set-based SQL: what is measured on it is how it is read."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from benchmarks.figures import say
from paymux.domain.ids import row_key
from paymux.domain.payment import PaymentStatus
from paymux.ingestion.ingester import Holder
from paymux.storage.database import Database

# All of them are in one pool; payments go from one to another.
ACCOUNTS = 10_000
# One payment in so many has the rare status.
RARE = 5_000
RARE_STATUS, COMMON_STATUS = PaymentStatus.DISPUTE, PaymentStatus.SUCCEEDED
_CHUNK = 20_000

_ACCOUNTS = """
INSERT INTO account (key, installation, reference, type, name, default_asset, hash, version, created_at)
SELECT a.key, $1, a.reference, 'INTERNAL', 'Account ' || a.reference, 'EUR/2', a.key, 1, now()
FROM unnest($2::uuid[], $3::text[]) AS a (key, reference)
"""
# Two assets each, which have changed every day for ten days.
_BALANCES = """
INSERT INTO balance (account, asset, created_at, last_updated_at, amount)
SELECT a.key, b.asset, d.day, d.day + interval '1 day', (extract(epoch FROM d.day)::bigint * a.n) % 1000000007
FROM unnest($1::uuid[]) WITH ORDINALITY AS a (key, n), unnest(ARRAY['EUR/2', 'USD/2']) AS b (asset),
     generate_series(timestamptz '2026-01-01', '2026-01-10', '1 day') AS d (day)
"""
_POOL = """
WITH made AS (INSERT INTO pool (id, name) VALUES ($1, 'everything') RETURNING id)
INSERT INTO pool_account (pool, account, installation)
SELECT made.id, a.key, $2 FROM made, unnest($3::uuid[]) AS a (key)
"""
_PAYMENTS = f"""
WITH i AS MATERIALIZED (
    SELECT p.key, p.reference, p.n, md5(p.reference)::uuid AS report,
           CASE WHEN p.n % {RARE} = {RARE // 2} THEN '{RARE_STATUS}' WHEN p.n % 20 = 0 THEN 'PENDING'
                WHEN p.n % 20 = 1 THEN 'FAILED' ELSE '{COMMON_STATUS}' END AS status,
           (ARRAY['EUR/2', 'USD/2', 'GBP/2'])[1 + p.n % 3] AS asset, p.n % 1000000 + 1 AS amount,
           ($5::uuid[])[1 + p.n % {ACCOUNTS}] AS source,
           ($5::uuid[])[1 + (p.n * 7) % {ACCOUNTS}] AS destination,
           timestamptz '2026-01-01' - p.n * interval '7 seconds' AS created_at
    FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS p (key, reference, n)
), payments AS (
    INSERT INTO payment (key, installation, reference, type, first_type, status, scheme, asset, amount,
                         initial_amount, source, destination, hash, head, head_at, first_at, created_at)
    SELECT i.key, $1, i.reference, 'TRANSFER', 'TRANSFER', i.status, 'sepa', i.asset, i.amount, i.amount,
           i.source, i.destination, i.report, i.report, i.created_at, i.created_at, i.created_at
    FROM i
)
INSERT INTO adjustment (payment, report, type, status, scheme, asset, amount, source, destination,
                        reported_at, raw)
SELECT i.key, i.report, 'TRANSFER', i.status, 'sepa', i.asset, i.amount, i.source, i.destination,
       i.created_at,
       format('{{"id":"%s","object":"payment","state":"%s","amount":%s,"statement":"INVOICE %s"}}',
              i.reference, i.status, i.amount, i.n)
FROM i
"""  # noqa: S608 - the numbers and words above


def references(kind: str, numbers: range) -> list[str]:
    """How the provider calls them."""
    return [f"{kind}_{number:09d}" for number in numbers]


def keys(on_behalf: Holder, kind: str, named: Sequence[str]) -> list[UUID]:
    """Under which they are filed."""
    return [row_key(on_behalf.uuid, kind, reference) for reference in named]


async def fill(database: Database, on_behalf: Holder, payments: int) -> UUID:
    """Write accounts with balances, a pool of all of them, and payments; returns the pool.

    The tables are left as a day of quiet would.
    """
    pool, named = uuid4(), references("account", range(ACCOUNTS))
    accounts = keys(on_behalf, "account", named)
    await database.execute(_ACCOUNTS, on_behalf.installation, accounts, named)
    await database.execute(_BALANCES, accounts)
    await database.execute(_POOL, pool, on_behalf.installation, accounts)
    for first in range(0, payments, _CHUNK):
        numbers = range(first, min(first + _CHUNK, payments))
        named = references("payment", numbers)
        filed = keys(on_behalf, "payment", named)
        await database.execute(_PAYMENTS, on_behalf.installation, filed, named, list(numbers), accounts)
        if first % (10 * _CHUNK) == 0:
            say(f"  {numbers.stop:,} of {payments:,} payments written")
    await database.execute("VACUUM (ANALYZE)")
    await database.execute("CHECKPOINT")
    return pool
