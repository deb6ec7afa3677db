"""Which facts a batch tells: one for each change of an order, and the stock's own once for a drop and batch."""

from __future__ import annotations

from uuid import UUID

from livedrop.events import DropFact, DropSoldOut, LotStock, OrderFact, StockChanged, StockLow
from livedrop.kit.ids import new_id
from livedrop.stock.books import Books, Head, Order


def tell_order(books: Books, order: Order, kind: type[OrderFact]) -> None:
    tell(
        books,
        books.heads[order.drop_id],
        kind(
            id=new_id(),
            seq=0,
            order_id=order.id,
            user_id=order.user_id,
            variant_id=order.variant_id,
            quantity=order.quantity,
        ),
    )


def tell(books: Books, head: Head, fact: DropFact) -> None:
    """Adds a fact of the drop, giving it the next `seq`."""
    head.seq += 1
    fact.seq = head.seq
    books.facts.setdefault(head.drop_id, []).append(fact)
    books.change_head(head)


def tell_stock(books: Books) -> None:
    """Closes a batch: each drop whose lots changed tells its stock once, absolute; each changed head gets a version.

    A draft tells nothing: nobody may know of it.
    """
    for drop_id in {drop_id for drop_id, _ in books.changed_lots}:
        head = books.heads[drop_id]
        if head.published:
            _tell_lots(books, head, drop_id)
        books.change_head(head)
    for head in books.changed_heads.values():
        head.version += 1


def _tell_lots(books: Books, head: Head, drop_id: UUID) -> None:
    stock = [
        LotStock(lot.variant_id, lot.available, lot.reserved, lot.sold, lot.total)
        for lot in books.lots[drop_id].values()
    ]
    tell(books, head, StockChanged(id=new_id(), seq=0, version=head.version + 1, lots=stock))
    before, after = books.available_before[drop_id], books.available(drop_id)
    if 0 < after <= head.low_stock_threshold < before:
        tell(books, head, StockLow(id=new_id(), seq=0, available=after))
    if after == 0 < before:
        tell(books, head, DropSoldOut(id=new_id(), seq=0))
