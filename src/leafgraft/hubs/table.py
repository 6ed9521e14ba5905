"""A data set as its library shows it, and which of its columns hold photos and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from leafgraft.errors import UserError
from leafgraft.hubs.request import Request
from leafgraft.photos.manifest import SPLITS

Kind = Literal["pictures", "bytes", "classes", "text", "numbers", "other"]
"""What a column holds; "classes" are numbers with names."""

Rows = Iterator[tuple[bytes | str, str]]
"""Of each row the bytes of the photo, or why there are none, and the label, "" where there is none."""


@dataclass(frozen=True)
class Table:
    """A data set that is at hand.

    Attributes:
        revision: changes when its content does: a commit, a version or a digest.
        columns: what there is in a row.
        splits: how many rows each split has.
        rows: gives the rows of a split, from the columns of the photos and of the labels.
    """

    revision: str
    columns: Mapping[str, Kind]
    splits: Mapping[str, int]
    rows: Callable[[str, str, str], Rows]


def columns_of(table: Table, request: Request) -> tuple[str, str]:
    """The columns of the photos and of the labels.

    Raises:
        UserError: there is none, or there are several and none is named; the sentence lists all columns.
    """
    image = _column(table, request, request.image, "image", "pictures", (("pictures",), ("bytes",)))
    label = _column(table, request, request.label, "label", "labels", (("classes",), ("text", "numbers")))
    return image, label


def _column(
    table: Table, request: Request, named: str | None, usual: str, what: str, wanted: tuple[tuple[Kind, ...], ...]
) -> str:
    """The column that is named, else the only one of the first kind that there is, else the one called as usual."""
    there = ", ".join(f"{name} ({kind})" for name, kind in table.columns.items())
    if named is not None:
        if named not in table.columns:
            raise UserError(f"{request} has no column {named}; it has {there}.")
        if table.columns[named] not in chain(*wanted):
            raise UserError(f"{request}: the column {named} holds no {what}; it has {there}.")
        return named
    for kinds in wanted:
        found = [name for name, kind in table.columns.items() if kind in kinds]
        if len(found) == 1:
            return found[0]
        if usual in found:
            return usual
        if found:
            raise UserError(
                f"{request} has several columns that may be the {what}: {', '.join(found)}; choose one with "
                f",{usual}={found[0]} behind the name."
            )
    raise UserError(f"{request} has no column of {what}, only {there}; choose another data set.")


def sides_of(table: Table, request: Request) -> dict[str, str]:
    """The splits that are wanted, and the side that each is for; a single one is for Leafgraft to divide.

    Raises:
        UserError: there is no such split; or of several, none says what it is for.
    """
    there = ", ".join(table.splits)
    if request.split is not None:
        if request.split not in table.splits:
            raise UserError(f"{request} has no split {request.split}; it has {there}.")
        return {request.split: ""}
    if len(table.splits) == 1:
        return dict.fromkeys(table.splits, "")
    sides = {name: SPLITS[name.lower()] for name in table.splits if name.lower() in SPLITS}
    if not sides:
        raise UserError(
            f"{request} has the splits {there}, of which none is called train, validation or test; choose one with "
            f",split={next(iter(table.splits), 'NAME')} behind the name."
        )
    return sides
