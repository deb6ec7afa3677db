"""Browsing products: filters, orders, pages that hold while the catalogue changes, and what is no list at all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
from catalogue_client import catalogue_client, code_of, made, make_creator, user_of

from livedrop.kit.database import Database

Headers = dict[str, str]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with catalogue_client(database) as client:
        yield client


@pytest.fixture
async def creator(database: Database) -> Headers:
    return await make_creator(database)


async def listed(client: httpx.AsyncClient, query: str = "") -> list[str]:
    answer = await client.get(f"/products?{query}")
    assert answer.status_code == 200, answer.text
    return [product["title"] for product in answer.json()["items"]]


async def test_the_newest_come_first(client: httpx.AsyncClient, creator: Headers) -> None:
    assert (await client.get("/products")).json() == {"items": [], "next": None}
    products = [await made(client, creator, title=title) for title in "abc"]
    assert (await client.get("/products")).json() == {"items": products[::-1], "next": None}


async def test_products_sort_by_price(client: httpx.AsyncClient, creator: Headers) -> None:
    for title, price in [("b", 500), ("a", 100), ("c", 500), ("d", 0)]:
        await made(client, creator, title=title, price_minor=price)
    assert await listed(client, "sort=price") == ["d", "a", "b", "c"]
    assert await listed(client, "sort=-price") == ["c", "b", "a", "d"]


async def test_filters_narrow_together(client: httpx.AsyncClient, creator: Headers, database: Database) -> None:
    other = await make_creator(database)
    await made(client, creator, title="Red mug", price_minor=100, tags=["Kitchen", "red"])
    await made(client, creator, title="Blue mug", price_minor=200, tags=["kitchen"])
    await made(client, other, title="Red tee", price_minor=300, tags=["red"])
    assert await listed(client, f"creator_id={user_of(creator)}") == ["Blue mug", "Red mug"]
    assert await listed(client, "tag=red") == ["Red tee", "Red mug"]
    assert await listed(client, "tag=%20KITCHEN") == ["Blue mug", "Red mug"]
    assert await listed(client, "tag=kitch") == []
    assert await listed(client, "min_price=200") == ["Red tee", "Blue mug"]
    assert await listed(client, "max_price=200") == ["Blue mug", "Red mug"]
    assert await listed(client, "min_price=200&max_price=200") == ["Blue mug"]
    assert await listed(client, "q=red&tag=kitchen") == ["Red mug"]
    assert await listed(client, f"q=red&creator_id={user_of(other)}&max_price=200") == []


async def test_every_word_must_be_found_whatever_its_case_and_accents(
    client: httpx.AsyncClient, creator: Headers
) -> None:
    await made(client, creator, title="Crème BRÛLÉE torch", description="Straße, 100% butane_gas", tags=["Küche"])
    await made(client, creator, title="Plain torch")

    async def found(question: str) -> list[str]:
        return await listed(client, f"q={quote(question)}")

    for question in ["creme brulee", "TORCH crème", "strasse", "kuche", "100%", "butane_gas", "rem ûl"]:
        assert await found(question) == ["Crème BRÛLÉE torch"], question
    for question in ["creme mug", "1%0", "butane-gas", "creme_brulee", "\\", "%", "_ brulee x"]:
        assert await found(question) == (["Crème BRÛLÉE torch"] if question == "%" else []), question
    assert await found("torch") == await found("  ") == ["Plain torch", "Crème BRÛLÉE torch"]


async def test_a_changed_product_is_found_by_its_new_words(client: httpx.AsyncClient, creator: Headers) -> None:
    product = await made(client, creator, title="Mug", tags=["old"])
    await client.patch(f"/products/{product['id']}", json={"title": "Cup", "tags": ["new"]}, headers=creator)
    assert await listed(client, "q=mug") == await listed(client, "q=old") == await listed(client, "tag=old") == []
    assert (
        await listed(client, "q=cup") == await listed(client, "q=new") == await listed(client, "tag=new") == ["Cup"]
    )


@pytest.mark.parametrize("sort", ["new", "price", "-price"])
async def test_cursors_and_page_numbers_give_the_same_pages(
    client: httpx.AsyncClient, creator: Headers, sort: str
) -> None:
    for number in range(7):
        await made(client, creator, title=str(number), price_minor=number % 3)
    whole = await listed(client, f"sort={sort}")
    assert sorted(whole) == [str(number) for number in range(7)]
    after, paged = "", list[str]()
    for number in range(1, 5):
        answer = (await client.get(f"/products?sort={sort}&limit=2{after}")).json()
        numbered = (await client.get(f"/products?sort={sort}&limit=2&page={number}")).json()
        assert numbered == answer
        paged += [product["title"] for product in answer["items"]]
        after = f"&after={answer['next']}"
    assert paged == whole
    assert answer["next"] is None
    assert await listed(client, f"sort={sort}&limit=2&page=5") == []
    assert (await client.get(f"/products?sort={sort}&limit=7")).json()["next"] is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sort", ["new", "price", "-price"])
async def test_pages_hold_while_products_come_go_and_change_price(
    client: httpx.AsyncClient, creator: Headers, sort: str, seed: int
) -> None:
    dice = random.Random(f"{sort} {seed}")
    prices = [100, 100, 200, 300]  # few, so that many products share one
    there = {
        (await made(client, creator, price_minor=dice.choice(prices)))["id"]: True for _ in range(24)
    }  # id → whether it has been there all the time, at one price

    async def churn() -> None:
        for _ in range(dice.randint(1, 4)):
            touched = dice.choice(list(there))
            match dice.choice(["add", "archive", "reprice"]):
                case "add":
                    there[(await made(client, creator, price_minor=dice.choice(prices)))["id"]] = False
                case "archive":
                    del there[touched]
                    await client.delete(f"/products/{touched}", headers=creator)
                case "reprice":
                    there[touched] = there[touched] and sort == "new"  # by age, a price is no sort key
                    change = {"price_minor": dice.choice(prices)}
                    assert (await client.patch(f"/products/{touched}", json=change, headers=creator)).is_success

    seen: list[str] = []
    after = ""
    while True:
        answer = (await client.get(f"/products?sort={sort}&limit=3{after}")).json()
        seen += [product["id"] for product in answer["items"]]
        if answer["next"] is None:
            break
        after = f"&after={answer['next']}"
        await churn()
    steady = [product_id for product_id, unmoved in there.items() if unmoved]
    assert len(steady) >= 3
    assert [seen.count(product_id) for product_id in steady] == [1] * len(steady)


async def test_a_cursor_is_good_for_its_own_list_only(client: httpx.AsyncClient, creator: Headers) -> None:
    for _ in range(3):
        await made(client, creator, tags=["a", "b"])
    cursor = (await client.get("/products?tag=a&sort=price&limit=1")).json()["next"]
    assert len(await listed(client, f"tag=a&sort=price&limit=2&after={cursor}")) == 2
    for query in ["", "tag=a", "tag=b&sort=price", "tag=a&sort=-price", "tag=a&sort=price&min_price=1"]:
        assert code_of(await client.get(f"/products?{query}&after={cursor}")) == (400, "bad_cursor"), query
    middle = len(cursor) // 2
    for wrong in [cursor[:-2], cursor[:middle] + "AA" + cursor[middle + 2 :], "x", "%C3%A9", "AAAA" * 100, "%0A"]:
        answer = await client.get(f"/products?tag=a&sort=price&after={wrong}")
        assert code_of(answer) == (400, "bad_cursor"), wrong


WRONG_QUERIES = [
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=abc",
    "limit=1.5",
    "limit=",
    f"limit={'9' * 5000}",
    "page=0",
    "page=abc",
    "page=501",
    f"page={'9' * 30}",
    "page=1&after=x",
    "min_price=-1",
    "min_price=abc",
    f"min_price={2**63}",
    f"max_price={10**30}",
    "min_price=2&max_price=1",
    "sort=name",
    "sort=PRICE",
    "creator_id=me",
    "creator_id=",
    f"q={'x' * 201}",
    "q=%00",
    "tag=%00",
    f"tag={'x' * 51}",
    "archived=perhaps",
]


async def test_a_wrong_query_is_refused(client: httpx.AsyncClient) -> None:
    for query in WRONG_QUERIES:
        assert code_of(await client.get(f"/products?{query}")) == (422, "invalid_fields"), query


async def test_an_odd_query_is_no_error_of_ours(client: httpx.AsyncClient, creator: Headers) -> None:
    await made(client, creator)
    for query in ["q=%ff%fe", "q=%ED%A0%80", "tag=%ff", "after=%ff", "q=1&q=2", "limit=1&limit=2", "what=1"]:
        answer = await client.get(f"/products?{query}")
        assert answer.status_code < 500, (query, answer.text)


async def test_a_bad_token_is_refused_even_where_none_is_needed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/products", headers={"Authorization": "Basic abc"})
    assert code_of(answer) == (401, "auth_required")
