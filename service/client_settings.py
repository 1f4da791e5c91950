"""What a client of the service reads from the environment: where the service is, and the key.

The service's own settings know these names too, so that both can run in one shell.
"""

from __future__ import annotations

import os
import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "GPO_"
_KEY_LIST = re.compile(r"@.|[^:,]*:[0-9A-Fa-f]{64}\b")


class ClientSettings(BaseModel):
    """Every setting of a client; each field is the variable GPO_<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field("http://127.0.0.1:8000", description="Where the service listens.")
    api_key: str | None = Field(
        None, repr=False, description="The key that is sent as a bearer token."
    )

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that the environment holds; an empty variable counts as absent."""
        given = {name: os.environ.get(PREFIX + name.upper()) for name in cls.model_fields}
        return cls(**{name: value for name, value in given.items() if value})


def variables() -> frozenset[str]:
    """The names of the variables."""
    return frozenset(PREFIX + name.upper() for name in ClientSettings.model_fields)


def is_key_list(api_key: str) -> bool:
    """Whether it has the form of the service's list of keys, which holds their digests."""
    return _KEY_LIST.match(api_key) is not None
