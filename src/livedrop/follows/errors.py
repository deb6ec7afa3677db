"""What creators' pages refuse."""

from __future__ import annotations

from livedrop.kit.refusals import Forbidden, Refusal


class CreatorRequired(Forbidden):
    """Only creators can do this; become one first with `POST /creators`."""

    code = "creator_required"


class HandleTaken(Refusal):
    """Somebody else has this handle, or one that differs only in upper and lower case."""

    code, status = "handle_taken", 409


class AlreadyCreator(Refusal):
    """You are a creator already."""

    code, status = "already_creator", 409
