"""`livedrop openapi`: the document of the API, without starting anything."""

from __future__ import annotations

import os
import sys

import msgspec

from livedrop.kit.database import Database
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.processes.wiring import wire
from livedrop.settings import read


def run() -> None:
    """Prints the OpenAPI document, indented."""
    settings = read({**os.environ, "LIVEDROP_SECRET_KEY": "-" * 32})
    provider = SandboxProvider(settings.provider_url, webhook_secrets=[])
    document = wire(settings, Database("postgresql://"), provider).document
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
