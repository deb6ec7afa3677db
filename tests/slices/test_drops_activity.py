"""Who bought last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from catalogue_client import code_of, make_user
from drops_client import Drops, open_drops

from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.stock import RefundDue, Restock


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


async def test_the_ten_latest_buyers(drops: Drops) -> None:
    drop, other = await drops.made(stock=100), await drops.made()
    assert (await drops.client.get(f"/drops/{drop['id']}/activity")).json() == []
    paid = [await drops.buy(drop, number % 3 + 1, name=f"Buyer {number}") for number in range(12)]
    await drops.reserve(drop, name="Undecided")
    await drops.buy(other, name="Elsewhere")
    answer = await drops.client.get(f"/drops/{drop['id']}/activity")
    assert answer.json() == [
        {
            "name": f"Buyer {number}",
            "quantity": number % 3 + 1,
            "at": rfc3339(paid[number].order.updated_at),
        }
        for number in range(11, 1, -1)
    ]


async def test_whose_money_went_back_is_no_buyer(drops: Drops) -> None:
    drop = await drops.made()
    sold = await drops.buy(drop, name="Once")
    assert sold.payment is not None
    await drops.till.settle(RefundDue(drop_id=UUID(drop["id"]), order_id=sold.order.id))
    await drops.till.settle(Restock(drop_id=UUID(drop["id"]), order_id=sold.order.id, payment_id=sold.payment.id))
    assert (await drops.client.get(f"/drops/{drop['id']}/activity")).json() == []


async def test_a_draft_has_none(drops: Drops) -> None:
    draft = await drops.made(draft=True)
    for headers in (None, await make_user(drops.database)):
        answer = await drops.client.get(f"/drops/{draft['id']}/activity", headers=headers)
        assert code_of(answer) == (404, "not_found")
    own = await drops.client.get(f"/drops/{draft['id']}/activity", headers=drops.creator)
    assert own.json() == []
    assert code_of(await drops.client.get(f"/drops/{new_id()}/activity")) == (404, "not_found")
    assert code_of(await drops.client.get("/drops/nothing/activity")) == (404, "not_found")
