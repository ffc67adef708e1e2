"""A figure and the table that figures are shown in."""

import os
import platform
import sys
from collections.abc import Sequence
from typing import Literal

import msgspec

Sense = Literal[">=", "<="]

_HEADINGS = ("", "paymux", "floor", "ratio", "target", "", "")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Something measured, and what it is compared with in the same run.

    ``ratio`` is ``value / floor``; ``target`` bounds it from the side that ``sense`` says.
    """

    what: str
    value: float
    unit: str
    floor: float | None = None
    # What the floor is, where the line itself does not say it.
    beside: str = ""
    target: float | None = None
    sense: Sense = ">="
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How the value stands to the floor."""
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.sense == ">=" else self.ratio <= self.target

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        floor = "" if self.floor is None else f"{_number(self.floor)} {self.unit} {self.beside}".strip()
        return (
            self.what,
            f"{_number(self.value)} {self.unit}".strip(),
            floor,
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.target is None else f"{'≥' if self.sense == '>=' else '≤'} {self.target:g}",
            {True: "met", False: "MISSED", None: ""}[self.met],
            self.note,
        )


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table that also reads well as it stands."""
    lines = [_HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    rows = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rows)


def machine() -> str:
    """The shape of the machine, for the line above the table."""
    busy = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}{busy}"


def say(text: str) -> None:
    """A line of progress, which is no part of the result."""
    print(text, file=sys.stderr, flush=True)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
