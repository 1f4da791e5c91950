"""Which group a request of another service's client means: it has three places to say so."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

from service.api.schemas.base import GroupId
from service.core.errors import FieldError, InvalidInput
from service.core.groups import ID_PATTERN

_ID = re.compile(ID_PATTERN)

GroupHeader = Annotated[
    GroupId | None,
    Header(alias="X-Group-Id", description="The group, in place of `group_id`."),
]


def one_group(*, model: str | None, body: str | None, header: str | None) -> str | None:
    """The group that the model's name, the body and the header agree on, None if none is named.

    Raises InvalidInput for two that differ, and for a name that no group can have.
    """
    if model is not None and not _ID.fullmatch(model):
        raise InvalidInput([FieldError("/model", "what follows the @ is no id of a group")])
    given = {"/model": model, "/group_id": body, "/X-Group-Id": header}
    named = {pointer: group for pointer, group in given.items() if group is not None}
    if len(set(named.values())) > 1:
        said = ", ".join(f"{pointer[1:]} names {group!r}" for pointer, group in named.items())
        raise InvalidInput([FieldError(pointer, said) for pointer in named])
    return next(iter(named.values()), None)
