"""Orders: place, reserve, pay, cancel, refund, expire, recover; cancelling a whole drop."""

from livedrop.orders.cancel_drop import wind_up_cancelled
from livedrop.orders.cashier import Cashier
from livedrop.orders.expire import expire_holds
from livedrop.orders.place import Counter
from livedrop.orders.recover import Recovery

__all__ = [
    "Cashier",
    "Counter",
    "Recovery",
    "expire_holds",
    "wind_up_cancelled",
]
