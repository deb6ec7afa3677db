"""How the catalogue says no."""

from __future__ import annotations

from livedrop.kit.refusals import Refusal


class SkuTaken(Refusal):
    """Each SKU names one variant among all products that you have not archived."""

    code, status = "sku_taken", 409

    def __init__(self, *places: int) -> None:
        """`places`: which of the variants in the body have a SKU that is taken, from 0."""
        errors = [{"field": f"variants.{place}.sku", "message": "this SKU is taken"} for place in places]
        super().__init__("; ".join(f"{error['field']}: {error['message']}" for error in errors), errors=errors)


class ProductArchived(Refusal):
    """The product was archived: it can be looked at, but not changed or sold any more."""

    code, status = "product_archived", 409
