"""Declares a page: address, method, right and template stand right above the function that answers.

    @console_page("GET", "/partners/{code}", right=Permission.SEE_PARTNERS, template="partner")
    async def show_partner(visit: Visit, code: str, turns: ReadingTurns) -> PageAnswer:

A function takes by their names: `visit`, or `asked` if the page is public; the pieces of its address; and what it works
with, of `ConsoleParts`. A piece `{rest}` at the end is all further pieces, at least one. A method is a page too; then its
class takes what it works with, as fields. A page of an operation names it (`does`) instead of a right. Knows no page.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.operation import HubOperation
from hub.web.answers import ConsoleResponse

F = TypeVar("F", bound=Callable[..., Any])


class PageReach(StrEnum):
    """Which limits an account may have to open a page."""

    ANY = "any"  #: any: what the page shows is limited by the functions that read it
    EVERY_UNIT = "every unit"  #: none to units: the page is about what belongs to no unit
    #: none at all: by the page rights are given, or what every partner needs is changed, so limits could be cast off
    UNLIMITED = "unlimited"


@attrs.frozen
class PageValues:
    """What a page says, where it is not said with the declared template and the status 200."""

    said: Mapping[str, object]
    status: int = 200
    template: str = ""  #: empty: the one that the page declares
    scripted: bool = False  #: whether the page runs the signing script
    live: bool = False  #: whether a script keeps it fresh


#: What a page answers: the values of its template, the address that it leads to, or all of it.
PageAnswer = Mapping[str, object] | PageValues | str | ConsoleResponse


@attrs.frozen
class PageDeclaration:
    """One page."""

    method: str
    address: str
    answer: Callable[..., Any]
    right: Permission | None  #: None: everybody who is signed in
    reach: PageReach
    template: str
    public: bool  #: whether it is answered without a look at the session
    does: Sequence[HubOperation]  #: the operations that its form carries out, or that it shows; not all pages say it
    owner: type | None = None  #: the class whose method answers
    pieces: tuple[str, ...] = attrs.field(
        default=attrs.Factory(lambda self: tuple(filter(None, self.address.split("/"))), takes_self=True), init=False
    )
    #: the names of what the function takes
    takes: Sequence[str] = attrs.field(
        default=attrs.Factory(lambda self: [*inspect.signature(self.answer).parameters], takes_self=True), init=False
    )

    def match_path(self, path: Sequence[str]) -> dict[str, Any] | None:
        """Return the pieces of *path* by their names; None if it is not the address of the page."""
        names, found = self.pieces, dict[str, Any]()
        if names[-1:] == ("{rest}",) and len(path) >= len(names):
            names = names[:-1]
            path, found["rest"] = path[: len(names)], tuple(path[len(names) :])
        if len(path) != len(names):
            return None
        for name, piece in zip(names, path, strict=True):
            if name.startswith("{"):
                found[name[1:-1]] = piece
            elif name != piece:
                return None
        return found

    def is_open_to(self, user: User) -> bool:
        """Tell whether *user* may open the page."""
        reaches = {PageReach.EVERY_UNIT: user.sees_all, PageReach.UNLIMITED: user.is_unlimited}.get(self.reach, True)
        return reaches and (self.right is None or user.may(self.right))


def console_page(
    method: str,
    *addresses: str,
    does: Sequence[HubOperation] = (),
    right: Permission | None = None,
    reach: PageReach = PageReach.ANY,
    template: str = "",
    public: bool = False,
) -> Callable[[F], F]:
    """Declare that the function below answers *method* at *addresses*. What it *does* says the right and the reach."""
    if does:
        right, reach = _read_right(does)

    def declare(answer: F) -> F:
        declared = [
            PageDeclaration(method, address, answer, right, reach, template, public, does) for address in addresses
        ]
        answer.__dict__["pages"] = [*declared, *answer.__dict__.get("pages", [])]
        return answer

    return declare


def _read_right(does: Sequence[HubOperation]) -> tuple[Permission, PageReach]:
    """Return the right and the reach that all these operations have."""
    ((right,), whole, unlimited), *others = {(each.rights, each.whole, each.unlimited) for each in does}
    assert not others, "operations of one page have one right"
    return right, PageReach.UNLIMITED if unlimited else PageReach.EVERY_UNIT if whole else PageReach.ANY


def list_declared_pages(module: Any) -> list[PageDeclaration]:
    """Return the pages that *module* declares, in their order."""
    found = list[PageDeclaration]()
    for value in vars(module).values():
        if getattr(value, "__module__", "") != module.__name__:
            continue
        if isinstance(value, type):
            methods = [each for each in vars(value).values() if inspect.isfunction(each)]
            found += [attrs.evolve(page, owner=value) for each in methods for page in each.__dict__.get("pages", ())]
        elif inspect.isfunction(value):
            found += value.__dict__.get("pages", ())
    return found
