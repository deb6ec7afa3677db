"""Products and their variants, and looking through them."""

from livedrop.catalogue.errors import ProductArchived, SkuTaken
from livedrop.catalogue.offer import ProductForDrop, VariantForDrop, product_for_drop
from livedrop.catalogue.product import ProductShown, Variant

__all__ = [
    "ProductArchived",
    "ProductForDrop",
    "ProductShown",
    "SkuTaken",
    "Variant",
    "VariantForDrop",
    "product_for_drop",
]
