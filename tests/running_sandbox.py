"""The sandbox provider for tests: in this process or in one of its own, on a real port, in a hurry."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

import aiohttp

from livedrop.kit.ids import new_id
from livedrop.payments import Charge
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.payments.sandbox.rules import Delays
from livedrop.processes.provider import sandbox_server
from livedrop.processes.serving import listen

SECRET = b"a webhook secret for tests"
NOBODY = "http://127.0.0.1:9"  # the discard port: webhooks that nobody takes


def hurried(
    *,
    slow_seconds: float = 0.05,
    silent_seconds: float = 0.2,
    webhook_seconds: float = 0.0,
    late_webhook_seconds: float = 0.0,
) -> Delays:
    return Delays(
        slow_seconds=slow_seconds,
        silent_seconds=silent_seconds,
        webhook_seconds=webhook_seconds,
        late_webhook_seconds=late_webhook_seconds,
    )


def a_charge(method: str = "pm_card_ok", *, amount_minor: int = 4_900) -> Charge:
    return Charge(
        payment_id=new_id(),
        drop_id=new_id(),
        order_id=new_id(),
        amount_minor=amount_minor,
        currency="EUR",
        method=method,
    )


class Sandbox:
    """A running sandbox at `url` and an open adapter to it, `provider`."""

    def __init__(
        self,
        database_url: str,
        *,
        api_url: str = NOBODY,
        delays: Delays | None = None,
        charge_timeout_seconds: float = 10.0,
        retry_first_seconds: float = 0.02,
    ) -> None:
        self._database_url = database_url
        self._api_url = api_url
        self._delays = delays or hurried()
        self._retry_first_seconds = retry_first_seconds
        self._listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.provider = SandboxProvider(
            self.url, webhook_secrets=[SECRET], charge_timeout_seconds=charge_timeout_seconds
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Sandbox:
        server = await self._stack.enter_async_context(
            sandbox_server(
                self._database_url,
                SECRET,
                self._api_url,
                delays=self._delays,
                retry_first_seconds=self._retry_first_seconds,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[self._listener]))

        async def stop() -> None:
            server.stop()
            await serving

        self._stack.push_async_callback(stop)
        await self.provider.open()
        self._stack.push_async_callback(self.provider.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def adapter(url: str, charge_timeout_seconds: float = 10.0) -> AsyncIterator[SandboxProvider]:
    provider = SandboxProvider(url, webhook_secrets=[SECRET], charge_timeout_seconds=charge_timeout_seconds)
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()


async def ask(sandbox: Sandbox, charge: Charge, body: bytes) -> int:
    """The status that `body` gets at the address of `charge`."""
    url = f"{sandbox.url}/charges/{charge.payment_id}"
    async with aiohttp.ClientSession() as session, session.put(url, data=body) as answer:
        return answer.status


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds_max: float = 20.0) -> None:
    """Returns when the condition holds; fails when it doesn't come to hold in time."""
    async with asyncio.timeout(seconds_max):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


_RUN = """
import sys
from livedrop.kit.starting import CannotStart
from livedrop.processes.provider import run
fd, database_url, secret = sys.argv[1:]
try:
    run(database_url=database_url, webhook_secret=secret.encode(), public_url="http://127.0.0.1:9", fd=int(fd))
except CannotStart as error:
    sys.exit(str(error))
"""


class ProviderProcess:
    """The sandbox as a process of its own, on a socket that outlives it."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it; requests may be sent at once, they wait in the socket's queue."""
        await self.kill()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _RUN,
            str(self._listener.fileno()),
            self._database_url,
            SECRET.decode(),
            pass_fds=[self._listener.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    async def ended(self) -> tuple[str, int]:
        """What it said, and its status, when it has left by itself."""
        assert self._process is not None
        _, said = await asyncio.wait_for(self._process.communicate(), timeout=20)
        assert self._process.returncode is not None
        return said.decode(), self._process.returncode

    async def stop(self) -> tuple[str, int]:
        """Tells it to stop."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended()

    async def __aenter__(self) -> ProviderProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        self._listener.close()
