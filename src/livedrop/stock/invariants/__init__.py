"""Every invariant of the till's books."""

from livedrop.stock.invariants.facts import FACTS
from livedrop.stock.invariants.invariant import Invariant
from livedrop.stock.invariants.money import MONEY
from livedrop.stock.invariants.orders import ORDERS
from livedrop.stock.invariants.stock import STOCK

INVARIANTS = (*STOCK, *ORDERS, *MONEY, *FACTS)

__all__ = ["INVARIANTS", "Invariant"]
