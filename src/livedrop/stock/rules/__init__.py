"""The rules of the till: pure decisions on a batch's books. No await, no clock, no database."""

from livedrop.stock.rules.settle import settle

__all__ = ["settle"]
