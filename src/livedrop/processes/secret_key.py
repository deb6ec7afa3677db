"""The key that signs tokens in development, made at the first start and kept in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from livedrop.processes.embedded import cannot_write
from livedrop.settings import SECRET_BYTES_MIN, BadSetting, Settings


def with_secret_key(settings: Settings) -> Settings:
    """The settings with a key to sign with. Production has one already: `settings.read` saw to it.

    Raises `CannotStart` where the data folder can't be written.
    """
    if settings.secret_keys:
        return settings
    assert settings.development, "production never makes up a key"
    file = settings.data_dir / "secret_key"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make(file)
        key = file.read_text().strip()
    except OSError as error:
        raise cannot_write(settings.data_dir, error) from None
    if len(key.encode()) < SECRET_BYTES_MIN:
        raise BadSetting(f"{file} holds no key of {SECRET_BYTES_MIN} characters or more: remove it.")
    return msgspec.structs.replace(settings, secret_keys=(key,))


def _make(file: Path) -> None:
    """Whole or not at all; of several that start at once, the first one's key stays."""
    fresh = file.with_name(f"{file.name}.new-{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, secrets.token_urlsafe(SECRET_BYTES_MIN).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(fresh, file)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
