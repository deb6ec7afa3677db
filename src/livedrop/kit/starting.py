"""What a process says when it can't begin its work."""

from __future__ import annotations


class CannotStart(Exception):
    """What was asked for can't be started; the message is one clear sentence for the person who asked."""
