"""The names under which clients of other services ask for a model, alone or for a group.

`<model>@<group id>` is a model as one group wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.core.errors import GeneratorUnavailable, ModelNotFound
from service.core.ports import Generator

SEPARATOR = "@"
"""Stands between a model and a group; ids of groups cannot hold it."""

CHECK_S = 5.0
"""How long the generator has to name its model."""


class ServedModel:
    """The language model by its name, which a server behind it may be the first to know."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    async def name(self) -> str:
        """The name, asked anew. Raises GeneratorUnavailable, UnknownModel."""
        try:
            async with asyncio.timeout(CHECK_S):
                await self._generator.check()
        except TimeoutError as exc:
            raise GeneratorUnavailable("The generator does not say which model it serves.") from exc
        return self._generator.model

    async def group_of(self, model: str) -> str | None:
        """The group that `model` names beside the model. Raises ModelNotFound, GeneratorError.

        Only a name that is not known asks the generator.
        """
        try:
            return group_of(model, [self._generator.model])
        except ModelNotFound:
            return group_of(model, [await self.name()])


def group_of(model: str, served: Sequence[str]) -> str | None:
    """The group named by `<model>@<group id>`, None for a model alone. Raises ModelNotFound.

    A name may hold the separator itself, so the whole name comes first.
    """
    if model in served:
        return None
    for name in served:
        if model.startswith(name + SEPARATOR):
            return model[len(name) + 1 :]
    raise ModelNotFound(model, served[0])
