"""The menu of misbehaviour, and what is chosen from it for each call.

A call may say itself what it wants (``X-Misbehave: drop-after``). Otherwise what was ordered for the next
calls comes first, and then each is rolled for by its probability, the same way for the same seed.
"""

from collections import deque
from enum import StrEnum
from random import Random

import msgspec


class Misbehaviour(StrEnum):
    """What can be wrong with an answer; the first part is about the wire, the second about what it says."""

    # The call is carried out, and then:
    DROP_AFTER = "drop-after"  # the connection is cut, without an answer
    CUT_AFTER = "cut-after"  # the connection is cut in the middle of the answer
    FAIL_AFTER = "fail-after"  # the answer is a 500
    HANG_AFTER = "hang-after"  # no answer ever comes
    GARBLE_AFTER = "garble-after"  # the answer is somebody's HTML
    # The connection is cut, and the call is carried out some time later.
    LATE = "late"
    # The call is not carried out:
    DROP_BEFORE = "drop-before"
    FAIL_BEFORE = "fail-before"
    HANG_BEFORE = "hang-before"
    RATE_LIMIT = "rate-limit"  # 429, and when to come back
    FORBID = "forbid"  # 401, as when a key was revoked
    # It is, but late.
    SLOW = "slow"

    DUPLICATES = "duplicates"  # rows come twice
    NEWEST_FIRST = "newest-first"
    UNSTABLE_ORDER = "unstable-order"  # a different order for each walk, and none that means anything
    SILENT_CHANGE = "silent-change"  # a status changes after the answer, and updated_at does not
    UNKNOWN_STATUS = "unknown-status"  # one row has a status that nobody has heard of
    UNKNOWN_CURRENCY = "unknown-currency"
    MALFORMED = "malformed"  # one row has no amount
    PENDING = "pending"  # an order is accepted, and settles in a while
    FAIL_LATER = "fail-later"  # an order is accepted, and fails in a while


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What is ordered: for the next calls (null behaves well), and by chance for the rest.

    ``on`` picks calls by how they begin: ``POST``, or ``GET /v1/payments``.
    """

    next: list[Misbehaviour | None] = []
    probability: dict[Misbehaviour, float] = {}
    on: str = ""


class Menu:
    """Chooses for each call."""

    def __init__(self, seed: int, probability: dict[Misbehaviour, float] | None = None) -> None:
        self._random = Random(f"menu {seed}")  # noqa: S311 - an example, not a secret
        self._next: deque[tuple[str, Misbehaviour | None]] = deque()
        self._wish = Wish(probability=probability or {})
        self.served: dict[str, int] = {}
        # Cursors of an earlier term have expired.
        self.term = 0

    def order(self, wish: Wish) -> None:
        """Take an order: what was ordered for the next calls before is forgotten, chances as well."""
        self._next = deque((wish.on, one) for one in wish.next)
        self._wish = wish

    def choose(self, call: str, header: str | None) -> frozenset[Misbehaviour]:
        """Choose for a call such as ``GET /v1/payments``. Raises ValueError for a header of other words."""
        chosen = frozenset(self._choose(call, header))
        for one in chosen:
            self.served[one] = self.served.get(one, 0) + 1
        return chosen

    @property
    def waiting(self) -> int:
        """For how many of the next calls something is still ordered."""
        return len(self._next)

    def pick(self, count: int) -> int:
        """Pick one of so many."""
        return self._random.randrange(count)

    def _choose(self, call: str, header: str | None) -> list[Misbehaviour]:
        if header is not None:
            return [Misbehaviour(word.strip()) for word in header.split(",") if word.strip()]
        if self._next and call.startswith(self._next[0][0]):
            _, one = self._next.popleft()
            return [one] if one else []
        if not call.startswith(self._wish.on):
            return []
        rolled = [(one, self._random.random()) for one in self._wish.probability]
        return [one for one, chance in rolled if chance < self._wish.probability[one]]
