"""Gathers what is wrong with a request, so that one answer names every fault."""

from __future__ import annotations

from service.core.errors import FieldError, InputTooLarge, InvalidInput


class Faults:
    """Faults found so far. `check` raises them; caps come before everything else."""

    def __init__(self) -> None:
        self._wrong: list[FieldError] = []
        self._too_large: list[FieldError] = []

    def wrong(self, pointer: str, detail: str) -> None:
        """A field does not mean anything."""
        self._wrong.append(FieldError(pointer, detail))

    def too_large(self, pointer: str, detail: str) -> None:
        """A field is over a cap."""
        self._too_large.append(FieldError(pointer, detail))

    def cap(self, pointer: str, found: float, most: float, what: str) -> None:
        """Note a fault when `found` is over the cap `most`."""
        if found > most:
            self.too_large(pointer, f"at most {most} {what}; found {found}")

    def add(self, error: InvalidInput) -> None:
        """Take over the faults of another check."""
        target = self._too_large if isinstance(error, InputTooLarge) else self._wrong
        target.extend(error.errors)

    def check(self) -> None:
        """Raise InputTooLarge or InvalidInput when there is a fault."""
        if self._too_large:
            raise InputTooLarge(self._too_large)
        if self._wrong:
            raise InvalidInput(self._wrong)
