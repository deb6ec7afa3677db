"""The sandbox behind the port: real HTTP to another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar
from uuid import UUID

import aiohttp
import msgspec
import structlog
from yarl import URL

from livedrop.payments.provider import (
    CHARGE_TIMEOUT_SECONDS,
    Captured,
    Charge,
    Declined,
    NoAnswer,
    Outcome,
    PaymentEvent,
    ProviderConflict,
    Refunded,
    Voided,
)
from livedrop.payments.providers.breaker import Breaker
from livedrop.payments.sandbox.wire import CHARGES_PATH, read_webhook

CONNECT_TIMEOUT_SECONDS = 2.0
CHARGE_CONNECTIONS_MAX = 128
# Of its own, so that recovery gets through while every charge is kept waiting.
OTHER_CONNECTIONS_MAX = 16
KEPT_SECONDS = 30.0  # shorter than the sandbox keeps an idle connection
ANSWER_BYTES_MAX = 16 * 1024

log = structlog.get_logger("livedrop.payments")

Answer = TypeVar("Answer")

_charged = msgspec.json.Decoder(Captured | Declined)
_looked_up = msgspec.json.Decoder(Outcome)
_voided = msgspec.json.Decoder(Voided | Captured | Declined | Refunded)
_refunded = msgspec.json.Decoder(Refunded)


class SandboxProvider:
    """Implements `Provider`. To be opened within the running loop, and closed."""

    name = "sandbox"

    def __init__(
        self,
        url: str,
        *,
        webhook_secrets: Sequence[bytes],
        charge_timeout_seconds: float = CHARGE_TIMEOUT_SECONDS,
    ) -> None:
        """`webhook_secrets`: any of them may have signed; several while they are being rotated."""
        self._charges_url = url.rstrip("/") + CHARGES_PATH
        self._webhook_secrets = tuple(webhook_secrets)
        self._timeout = aiohttp.ClientTimeout(total=charge_timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        self._breaker = Breaker()
        self._for_charges: aiohttp.ClientSession | None = None
        self._for_others: aiohttp.ClientSession | None = None

    async def open(self) -> SandboxProvider:
        self._for_charges = self._session(CHARGE_CONNECTIONS_MAX)
        self._for_others = self._session(OTHER_CONNECTIONS_MAX)
        return self

    async def close(self) -> None:
        for session in (self._for_charges, self._for_others):
            if session is not None:
                await session.close()

    @property
    def known_down(self) -> bool:
        return self._breaker.is_open

    async def charge(self, charge: Charge) -> Captured | Declined:
        assert self._for_charges is not None, "the provider is not open"
        body = msgspec.json.encode(charge)
        return await self._ask(self._for_charges, "PUT", str(charge.payment_id), _charged, body)

    async def look_up(self, payment_id: UUID) -> Outcome:
        return await self._ask(self._others(), "GET", str(payment_id), _looked_up)

    async def void(self, payment_id: UUID) -> Voided | Captured | Declined | Refunded:
        return await self._ask(self._others(), "PUT", f"{payment_id}/void", _voided)

    async def refund(self, payment_id: UUID) -> Refunded:
        return await self._ask(self._others(), "PUT", f"{payment_id}/refund", _refunded)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> list[PaymentEvent]:
        return read_webhook(self._webhook_secrets, headers, body)

    def _session(self, connections_max: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=KEPT_SECONDS),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"},
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            auto_decompress=False,
        )

    def _others(self) -> aiohttp.ClientSession:
        assert self._for_others is not None, "the provider is not open"
        return self._for_others

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: Literal["GET", "PUT"],
        path: str,
        decoder: msgspec.json.Decoder[Answer],
        body: bytes | None = None,
    ) -> Answer:
        began = self._breaker.calling()
        url = URL(self._charges_url + path, encoded=True)
        try:
            async with session.request(method, url, data=body, allow_redirects=False) as response:
                if (response.content_length or 0) > ANSWER_BYTES_MAX:
                    raise self._no_answer(began, "an answer too long to be read")
                status, said = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            raise self._no_answer(began, repr(error), refused=refused) from error
        if 400 <= status < 500:
            self._breaker.answered()
            raise ProviderConflict(f"{method} {path}: status {status}, {said[:200]!r}")
        if status != 200:
            raise self._no_answer(began, f"status {status}")
        try:
            answer = decoder.decode(said)
        except msgspec.DecodeError as error:
            raise self._no_answer(began, f"no answer of a sandbox: {error}") from error
        self._breaker.answered()
        return answer

    def _no_answer(self, began: float, reason: str, *, refused: bool = False) -> NoAnswer:
        was_open = self._breaker.is_open
        self._breaker.failed(began, refused=refused)
        if self._breaker.is_open and not was_open:
            log.warning("payment_provider_down", provider=self.name, reason=reason)
        return NoAnswer(reason)
