"""Server-sent events of /generate: bytes in, typed events out. Knows no connection."""

from __future__ import annotations

import json
from collections.abc import Iterator

from service.remote.answers import (
    CandidateEvent,
    DoneEvent,
    GenerateEvent,
    Generation,
    ScoredEvent,
    SelectedEvent,
    read_json,
)
from service.remote.errors import ProtocolError, error_from


class EventReader:
    """Reads one stream. `finished` once the last event has come."""

    def __init__(self, request_id: str | None) -> None:
        self._request_id = request_id
        self._rest = bytearray()
        self._name = ""
        self._data: list[str] = []
        self.finished = False

    def feed(self, chunk: bytes) -> Iterator[GenerateEvent]:
        """The events that are whole by now. Raises what an `error` event tells, ProtocolError."""
        begun = len(self._rest)
        self._rest += chunk
        while not self.finished and (end := self._rest.find(b"\n", begun)) >= 0:
            line = self._rest[:end].decode("utf-8", "replace").removesuffix("\r")
            del self._rest[: end + 1]
            begun = 0
            if line:
                self._field(line)
            else:
                name, data = self._name, "\n".join(self._data)
                self._name, self._data = "", []
                yield from self._event(name, data)

    def end(self) -> None:
        """The stream is over. Raises ProtocolError if it broke off."""
        if not self.finished:
            raise ProtocolError("the stream broke off", request_id=self._request_id)

    def _field(self, line: str) -> None:
        field, _, value = line.partition(":")
        if field == "event":
            self._name = value.removeprefix(" ")
        elif field == "data":
            self._data.append(value.removeprefix(" "))

    def _event(self, name: str, data: str) -> Iterator[GenerateEvent]:
        if name == "candidate":
            yield read_json(CandidateEvent, data, request_id=self._request_id)
        elif name == "scored":
            yield read_json(ScoredEvent, data, request_id=self._request_id)
        elif name == "selected":
            yield read_json(SelectedEvent, data, request_id=self._request_id)
        elif name == "done":
            generation = read_json(Generation, data, request_id=self._request_id)
            self.finished = True
            yield DoneEvent(generation=generation)
        elif name == "error":
            self._fail(data)
        # An event of another name comes from a newer service, and a block of none is a comment.

    def _fail(self, data: str) -> None:
        try:
            problem = json.loads(data)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"detail": "the stream ended with an error that cannot be read"}
        raise error_from(problem, request_id=self._request_id)
