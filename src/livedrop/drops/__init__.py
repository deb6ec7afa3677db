"""Drops: scheduling, phases, the drop page."""

from livedrop.drops.drop import DropShown, LotShown, NewDrop, Phase, StockShown
from livedrop.drops.pages import DropPages
from livedrop.drops.schedule import schedule

__all__ = [
    "DropPages",
    "DropShown",
    "LotShown",
    "NewDrop",
    "Phase",
    "StockShown",
    "schedule",
]
