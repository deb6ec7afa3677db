"""Requests about orders that are malformed, or nobody's: each of these gets its 4xx, and not one row changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import jwt
import msgspec
import pytest

from livedrop.accounts import Tokens
from livedrop.kit.ids import new_id
from marketplace import SECRET, Json, Marketplace, Person, open_marketplace, refused, shown

Headers = list[tuple[bytes, bytes]]

JSON: Headers = [(b"content-type", b"application/json")]
BODY_BYTES_MAX = 64 * 1024


class Buying:
    """A buyer with a reservation, and every request with a body that a buyer may send."""

    def __init__(self, market: Marketplace, buyer: Person, drop: Json, order: Json) -> None:
        self.market = market
        self.buyer = buyer
        self.drop = drop
        self.order = order
        card = {"payment_method": "pm_card_ok"}
        self.bodies: dict[str, Json] = {
            "/orders": card | {"drop_id": drop["id"], "quantity": 1},
            f"/drops/{drop['id']}/reserve": {"quantity": 1},
            f"/orders/{order['id']}/pay": card,
            "/payments": card | {"order_id": order["id"]},
            f"/drops/{drop['id']}/purchase": card,
        }

    async def refusals(self, content: bytes, headers: Headers = JSON) -> set[tuple[int, str]]:
        """How these bytes are refused by every one of them."""
        return {
            refused(await self.market.call("POST", path, content=content, headers=headers, by=self.buyer, key="one"))
            for path in self.bodies
        }


@pytest.fixture
async def buying(database_url: str) -> AsyncIterator[Buying]:
    async with open_marketplace(database_url) as market:
        buyer = await market.person()
        drop = await market.drop(await market.creator())
        yield Buying(market, buyer, drop, await market.reserved(buyer, drop))


NO_JSON = (
    *(b"{", b"nonsense", b"{'quantity': 1}", b"\x00", b"{,}"),
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"quantity": 1}'.encode("utf-16"),
)


async def test_a_body_that_is_no_json(buying: Buying) -> None:
    async with buying.market.unchanged():
        for content in NO_JSON:
            assert await buying.refusals(content) == {(400, "malformed_body")}, content


async def test_a_text_that_is_no_unicode(buying: Buying) -> None:
    market = buying.market
    async with market.unchanged():
        for path, body in buying.bodies.items():
            for text in (b"\xff\xfe", b"\\ud800", b"\xed\xa0\x80", b"\xc0\x80"):
                content = msgspec.json.encode(body).replace(b"pm_card_ok", text).replace(b":1", b':"' + text + b'"')
                answer = await market.call("POST", path, content=content, headers=JSON, by=buying.buyer, key="one")
                assert refused(answer) in ((400, "malformed_body"), (422, "invalid_fields")), (path, text)


async def test_a_body_of_another_shape(buying: Buying) -> None:
    """Nesting that is too deep is none of the shapes that are asked for, and is refused as soon as it begins."""
    async with buying.market.unchanged():
        for content in (b"[]", b"null", b"1", b'"x"', b"[" * 30_000, b'{"drop_id":' * 5_000):
            assert await buying.refusals(content) == {(422, "invalid_fields")}, content


async def test_a_body_that_is_too_long(buying: Buying) -> None:
    async with buying.market.unchanged():
        assert await buying.refusals(b" " * (BODY_BYTES_MAX + 1)) == {(413, "body_too_large")}
        assert await buying.refusals(b"{" + b" " * (BODY_BYTES_MAX - 1)) == {(400, "malformed_body")}


async def test_a_body_of_another_type(buying: Buying) -> None:
    types: list[Headers] = [
        [],
        *([(b"content-type", said)] for said in (b"text/plain", b"application/x-www-form-urlencoded", b"text/json")),
    ]
    async with buying.market.unchanged():
        for headers in types:
            for path, body in buying.bodies.items():
                content = msgspec.json.encode(body)
                answer = await buying.market.call(
                    "POST", path, content=content, headers=headers, by=buying.buyer, key="one"
                )
                assert refused(answer) == (415, "unsupported_media_type"), (path, headers)


async def test_a_reservation_needs_no_body(buying: Buying) -> None:
    market = buying.market
    answer = await market.call("POST", f"/drops/{buying.drop['id']}/reserve", by=buying.buyer, key="no body")
    assert shown(answer, 201)["quantity"] == 1


async def test_of_a_member_that_is_said_twice_the_last_one_counts(buying: Buying) -> None:
    answer = await buying.market.call(
        "POST",
        f"/drops/{buying.drop['id']}/reserve",
        content=b'{"quantity": 2, "quantity": 1}',
        headers=JSON,
        by=buying.buyer,
        key="twice",
    )
    assert shown(answer, 201)["quantity"] == 1


async def test_a_payment_method_that_is_none(buying: Buying) -> None:
    ways = {path: body for path, body in buying.bodies.items() if "payment_method" in body}
    async with buying.market.unchanged():
        for method in ("", "x" * 101, "a\x00b", 5, False, ["pm_card_ok"]):
            for path, body in ways.items():
                answer = await buying.market.post(path, body | {"payment_method": method}, by=buying.buyer, key="one")
                assert refused(answer) == (422, "invalid_fields"), (path, method)


def _signed(**claims: object) -> str:
    said = {
        "iss": "livedrop",
        "aud": "livedrop",
        "sub": str(new_id()),
        "sid": str(new_id()),
        "exp": time.time() + 600,
    }
    return jwt.encode(said | claims, SECRET, algorithm="HS256")


async def test_a_token_that_is_none_of_ours(buying: Buying) -> None:
    market, order = buying.market, buying.order
    user_id = new_id()
    requests = [("POST", path, body) for path, body in buying.bodies.items()] + [
        ("GET", f"/orders/{order['id']}", None),
        ("GET", "/orders", None),
        ("GET", "/reservations/me", None),
        ("GET", f"/payments/{order['id']}", None),
        ("DELETE", f"/reservations/{order['id']}", None),
        ("PUT", f"/orders/{order['id']}/cancel", None),
        ("POST", f"/orders/{order['id']}/refund", None),
        ("POST", f"/drops/{buying.drop['id']}/cancel", None),
    ]
    authorizations = [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic dXNlcjpwYXNzd29yZA==",
        f"Token {buying.buyer.token}",
        f"Bearer {buying.buyer.token}x",
        f"Bearer {Tokens([SECRET]).issue(user_id, new_id(), lifetime_seconds=-1)}",
        f"Bearer {Tokens(['another secret, that is long enough too']).issue(user_id, new_id())}",
        f"Bearer {_signed()}",
        f"Bearer {buying.buyer.id}",
    ]
    async with market.unchanged():
        for method, path, body in requests:
            for authorization in authorizations:
                sent = [] if authorization is None else [(b"authorization", authorization.encode())]
                sent += [(b"x-user-id", buying.buyer.id.encode()), (b"idempotency-key", b"one")]
                answer = await market.call(method, path, body, headers=sent)
                assert refused(answer) == (401, "auth_required"), (method, path, authorization)


async def test_a_cursor_that_was_tampered_with(buying: Buying) -> None:
    market, buyer, drop = buying.market, buying.buyer, buying.drop
    await market.reserved(buyer, drop)
    other = await market.person()
    await market.reserved(other, drop)
    await market.reserved(other, drop)
    orders = shown(await market.get("/orders?limit=1", by=buyer), 200)["next"]
    of_drop = shown(await market.get(f"/orders?limit=1&drop_id={drop['id']}", by=buyer), 200)["next"]
    others = shown(await market.get("/orders?limit=1", by=other), 200)["next"]
    holds = shown(await market.get("/reservations/me?limit=1", by=buyer), 200)["next"]
    turned = ("A" if orders[0] != "A" else "B") + orders[1:]
    nonsense = ["", "x", "%00", "ä", "=", "A" * 9_000]
    for cursor in (of_drop, others, holds, turned, orders[:-1], orders + "AAAA", *nonsense):
        answer = await market.get(f"/orders?limit=1&after={cursor}", by=buyer)
        assert answer.status_code in (400, 422), cursor
        assert refused(answer)[1] in ("bad_cursor", "invalid_fields")
    shown(await market.get(f"/orders?limit=1&after={orders}", by=buyer), 200)


BAD_QUERIES = (
    *("limit=0", "limit=-1", "limit=101", "limit=x", "limit=1.5", "page=0", "page=x", "drop_id=x"),
    *("page=101&limit=100", "page=99999999999999999999", "drop_id="),
)


async def test_a_list_that_can_not_be_asked_for(buying: Buying) -> None:
    for query in BAD_QUERIES:
        answer = await buying.market.get(f"/orders?{query}", by=buying.buyer)
        assert refused(answer) == (422, "invalid_fields"), query


NO_ORDERS = ("x", "0", "00000000-0000-0000-0000-000000000000", "%00", "a" * 36, "' OR 1=1", str(new_id()))


async def test_an_order_that_is_none(buying: Buying) -> None:
    market, buyer = buying.market, buying.buyer
    card = {"payment_method": "pm_card_ok"}
    async with market.unchanged():
        for order_id in NO_ORDERS:
            for answer in (
                await market.get(f"/orders/{order_id}", by=buyer),
                await market.get(f"/payments/{order_id}", by=buyer),
                await market.put(f"/orders/{order_id}/cancel", by=buyer),
                await market.delete(f"/reservations/{order_id}", by=buyer),
                await market.post(f"/orders/{order_id}/pay", card, by=buyer),
                await market.post(f"/orders/{order_id}/refund", by=buyer),
                await market.post(f"/drops/{order_id}/reserve", {}, by=buyer, key="one"),
                await market.post(f"/drops/{order_id}/purchase", card, by=buyer),
                await market.post(f"/drops/{order_id}/cancel", by=buyer),
            ):
                assert refused(answer) == (404, "not_found"), str(answer.request.url)
