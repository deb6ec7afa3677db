"""Signatures of webhooks, against the example that the specification's own libraries are tested with."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from livedrop.kit.signed_webhooks import TOLERANCE_SECONDS, signature_fits, signature_headers

SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NOW = 1_614_265_330.0
BODY = b'{"test": 2432232314}'
EXAMPLE = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_example_is_signed_alike() -> None:
    assert signature_headers(SECRET, EXAMPLE["webhook-id"], BODY, NOW) == EXAMPLE


def test_the_example_fits() -> None:
    assert signature_fits([SECRET], EXAMPLE, BODY, NOW)
    assert signature_fits([b"new", SECRET], EXAMPLE, BODY, NOW + TOLERANCE_SECONDS)
    assert not signature_fits([b"new"], EXAMPLE, BODY, NOW)
    assert not signature_fits([], EXAMPLE, BODY, NOW)
    assert not signature_fits([SECRET], EXAMPLE, BODY, NOW + TOLERANCE_SECONDS + 1)
    assert not signature_fits([SECRET], EXAMPLE, BODY, NOW - TOLERANCE_SECONDS - 1)


@given(st.sampled_from(sorted(EXAMPLE)), st.text())
def test_no_other_header_fits(name: str, value: str) -> None:
    alike = value.split(" ") if name == "webhook-signature" else [value]
    if EXAMPLE[name] not in alike:
        assert not signature_fits([SECRET], {**EXAMPLE, name: value}, BODY, NOW)


@given(st.binary())
def test_no_other_body_fits(body: bytes) -> None:
    assert signature_fits([SECRET], EXAMPLE, body, NOW) == (body == BODY)


def test_no_more_than_a_few_signatures_are_tried() -> None:
    many = " ".join(["v1,AAAA"] * 8 + [EXAMPLE["webhook-signature"]])
    assert not signature_fits([SECRET], {**EXAMPLE, "webhook-signature": many}, BODY, NOW)
