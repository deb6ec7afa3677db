"""What a product may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedrop.catalogue import rules
from livedrop.catalogue.product import NewProduct, NewVariant, ProductChange, Variant, VariantWanted
from livedrop.kit.ids import new_id
from livedrop.kit.money import CURRENCIES
from livedrop.kit.refusals import InvalidFields

TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
PRESENT = st.lists(
    st.builds(Variant, st.builds(new_id), TEXT, TEXT, st.none() | st.integers(0, 10)), min_size=1, max_size=5
)


@given(st.lists(TEXT, max_size=20))
def test_tags_are_normal_and_each_there_once(tags: list[str]) -> None:
    normal = rules.normal_tags(tags)
    assert rules.normal_tags(normal) == normal
    assert set(normal) == {rules.normal_tag(tag) for tag in tags}
    assert len(set(normal)) == len(normal)
    assert all(tag == tag.strip() != "" for tag in normal)


def test_the_order_of_tags_is_kept() -> None:
    assert rules.normal_tags(["B", " a\tb ", "b", "A B", "c"]) == ("b", "a b", "c")


def test_only_active_currencies_are_known() -> None:
    for code in ["EUR", "USD", "JPY", "KWD", "XOF"]:
        assert rules.known_currency(code) == code
    for code in ["DEM", "HRK", "XXX", "XTS", "XAU", "ABC"]:
        with pytest.raises(InvalidFields):
            rules.known_currency(code)
    assert {len(code) for code in CURRENCIES} == {3}
    assert 150 < len(CURRENCIES) < 170


@given(PRESENT, st.data())
def test_a_new_set_keeps_those_named_and_nothing_else(present: list[Variant], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.sampled_from(present), unique_by=lambda variant: variant.id))
    wanted = [VariantWanted(id=variant.id, sku=" A ", name="Kept") for variant in kept]
    wanted += [VariantWanted(sku="B", name="New") for _ in range(data.draw(st.integers(0, 3)))]
    wanted = data.draw(st.permutations(wanted))
    after = rules.variants_after(present, wanted)
    assert [variant.name for variant in after] == [body.name for body in wanted]
    assert {variant.id for variant in after if variant.name == "Kept"} == {variant.id for variant in kept}
    assert not {variant.id for variant in after if variant.name == "New"} & {variant.id for variant in present}
    assert len({variant.id for variant in after}) == len(after)


@given(PRESENT)
def test_an_unknown_or_repeated_id_is_refused(present: list[Variant]) -> None:
    known = VariantWanted(id=present[0].id, sku="A", name="A")
    for second in (known, VariantWanted(id=new_id(), sku="B", name="B")):
        with pytest.raises(InvalidFields) as refused:
            rules.variants_after(present, [known, second])
        assert refused.value.members["errors"][0]["field"] == "variants.1.id"


def test_a_product_without_variants_gets_one() -> None:
    product_id = new_id()
    (variant,) = rules.new_variants(product_id, [])
    assert (variant.name, variant.price_minor) == ("Default", None)
    assert variant.sku == rules.generated_sku(product_id)
    (given_one,) = rules.new_variants(product_id, [NewVariant(sku=" A ", name=" B ", price_minor=0)])
    assert (given_one.sku, given_one.name, given_one.price_minor) == ("A", "B", 0)


def test_an_empty_change_changes_nothing() -> None:
    details = rules.details_of(
        NewProduct(title=" A ", price_minor=1, currency="EUR", tags=["X"], attributes={"a": 1})
    )
    assert rules.details_after(details, ProductChange()) == details
    assert rules.details_after(details, ProductChange(description=None, tags=["x"])) == details


def test_title_description_and_tags_are_searched() -> None:
    details = rules.details_of(
        NewProduct(title="Tée", description="Soft\ncotton", price_minor=1, currency="EUR", tags=["Red"])
    )
    assert rules.searched_text(details) == "tee\nsoft cotton\nred"
