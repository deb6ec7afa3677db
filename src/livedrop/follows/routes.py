"""REST: becoming a creator, and the pages of creators."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType

from livedrop.follows.become import NewCreator, become_creator
from livedrop.follows.creator import Creator
from livedrop.follows.errors import AlreadyCreator, HandleTaken
from livedrop.follows.find import browse_creators, creator_by_reference
from livedrop.kit.database import Connection, Database
from livedrop.web.fields import TEXT, SaidMoment
from livedrop.web.guards import AuthRequired, Guard
from livedrop.web.idempotency import Key, once
from livedrop.web.pages import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Page

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
PageNumber = Annotated[int | None, QueryParameter(ge=1)]
Words = Annotated[
    str | None,
    QueryParameter(max_length=200, pattern=TEXT, description="Words that handle or name must all hold."),
]


class FollowerAnswer(msgspec.Struct, kw_only=True):
    id: UUID
    name: str
    followed_at: SaidMoment


class CreatorAnswer(msgspec.Struct, kw_only=True):
    """A creator's page; `followers` is its first page of followers, where `?include=followers` asked for it."""

    id: UUID
    handle: str
    display_name: str
    bio: str | None
    avatar_url: str | None
    follower_count: int
    me_follows: bool
    followers: Page[FollowerAnswer] | UnsetType = UNSET


def creator_answer(creator: Creator, *, with_followers: bool = False) -> CreatorAnswer:
    return CreatorAnswer(
        id=creator.id,
        handle=creator.handle,
        display_name=creator.display_name,
        bio=creator.bio,
        avatar_url=creator.avatar_url,
        follower_count=0,
        me_follows=False,
        followers=Page([], None) if with_followers else UNSET,
    )


def routes(database: Database, guard: Guard, cursors: Cursors) -> list[ControllerRouterHandler]:
    @post(
        "/creators",
        status_code=201,
        tags=["creators"],
        summary="Become a creator",
        security=[{"bearer": []}],
        opt={"refuses": (AlreadyCreator, HandleTaken)},
    )
    async def post_creator(
        request: Request[Any, Any, Any], data: JSONBody[NewCreator], idempotency_key: Key = None
    ) -> Response[CreatorAnswer]:
        caller = guard.of(request)

        async def work(tx: Connection) -> tuple[int, msgspec.Struct]:
            return 201, creator_answer(await become_creator(tx, caller.user_id, data))

        return await once(database, caller.user_id, "POST /creators", idempotency_key, data, work)

    @get(
        "/creators",
        tags=["creators"],
        summary="Browse creators, newest first",
        opt={"refuses": (AuthRequired,)},
    )
    async def get_creators(
        request: Request[Any, Any, Any],
        q: Words = None,
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[CreatorAnswer]:
        guard.of_or_none(request)
        async with database.connection() as connection:
            found = await browse_creators(connection, cursors, q or "", limit, after, page)
        return Page([creator_answer(creator) for creator in found.items], found.next)

    @get(
        "/creators/{reference:str}",
        tags=["creators"],
        summary="A creator, by id or handle",
        opt={"refuses": (AuthRequired,)},
    )
    async def get_creator(
        request: Request[Any, Any, Any],
        reference: FromPath[str],
        include: FromQuery[Literal["followers"] | None] = None,
    ) -> CreatorAnswer:
        guard.of_or_none(request)
        async with database.connection() as connection:
            creator = await creator_by_reference(connection, reference)
        return creator_answer(creator, with_followers=include == "followers")

    return [post_creator, get_creators, get_creator]
