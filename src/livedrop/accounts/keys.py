"""A key for each purpose, derived from the settings' secrets, so that no two uses ever share one."""

from __future__ import annotations

import hashlib

KEY_BYTES = 32


def derived_key(secret: str, purpose: bytes) -> bytes:
    """32 bytes for this purpose (at most 16 bytes of name): BLAKE2b, personalised (RFC 7693)."""
    return hashlib.blake2b(secret.encode(), digest_size=KEY_BYTES, person=purpose).digest()
