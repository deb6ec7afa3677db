"""Who follows whom; creators' pages. (The follow graph itself comes later: nobody follows anybody yet.)"""

from livedrop.follows.creator import Creator, CreatorCard, card
from livedrop.follows.errors import CreatorRequired
from livedrop.follows.find import creator_by_id, creators_by_id, require_creator

__all__ = [
    "Creator",
    "CreatorCard",
    "CreatorRequired",
    "card",
    "creator_by_id",
    "creators_by_id",
    "require_creator",
]
