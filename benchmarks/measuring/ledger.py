"""What a client knows of the groups that it wrote: what was acknowledged, what may have happened.

Every write names the version that it follows (If-Match, or a creation), so that an acknowledged
write rules out that an earlier one of unknown outcome comes after it. Sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Content = tuple[str, tuple[str, ...]]
"""A group's name and its questions, in order."""


@dataclass(frozen=True, slots=True)
class State:
    """A group at one version; no content where it does not exist."""

    content: Content | None = None
    version: int = 0


@dataclass(slots=True)
class _Entry:
    known: State = State()
    pending: list[Content | None] = field(default_factory=list)
    highest: int = 0


@dataclass(slots=True)
class Ledger:
    """The groups of one client, by id, and every contradiction that it met."""

    faults: list[str] = field(default_factory=list)
    acknowledged: int = 0
    unknown: int = 0
    _entries: dict[str, _Entry] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """All groups that were ever written."""
        return list(self._entries)

    def known(self, group: str) -> State:
        """The last state that the service told."""
        return self._entry(group).known

    def is_certain(self, group: str) -> bool:
        """Is there no write of unknown outcome?"""
        return not self._entry(group).pending

    def acknowledge(self, group: str, state: State) -> None:
        """The service said that a write succeeded. A deletion has no version."""
        self.acknowledged += 1
        entry = self._entry(group)
        if state.content is not None:
            if state.version <= entry.highest:
                self.faults.append(f"{group}: version {state.version} given after {entry.highest}")
            entry.highest = state.version
        entry.known, entry.pending = state, []

    def lose_sight(self, group: str, content: Content | None) -> None:
        """A write that would lead to `content` has had no answer, or an error of the server."""
        self.unknown += 1
        self._entry(group).pending.append(content)

    def see(self, group: str, state: State) -> None:
        """The service shows this; a fault unless it is known or may have happened."""
        entry = self._entry(group)
        if state.content == entry.known.content:
            if state.content is not None and state.version != entry.known.version:
                self.faults.append(f"{group}: another version, {state.version}, of known content")
            return
        if state.content in entry.pending:
            entry.pending.remove(state.content)
            entry.known = state
            entry.highest = max(entry.highest, state.version)
            return
        self.faults.append(
            f"{group}: shows {_short(state.content)}, acknowledged {_short(entry.known.content)}"
        )

    def _entry(self, group: str) -> _Entry:
        return self._entries.setdefault(group, _Entry())


def _short(content: Content | None) -> str:
    return "no group" if content is None else f"{content[0]} with {len(content[1])} questions"
