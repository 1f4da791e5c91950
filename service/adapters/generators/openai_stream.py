"""A streamed answer in OpenAI's wire format: bytes in, pieces of text and one completion out.

Opens no connection.
"""

from __future__ import annotations

import json
from typing import Any

from service.adapters.generators import openai_wire
from service.core.domain import Completion
from service.core.errors import GeneratorError, GeneratorProtocolError, GeneratorUnavailable
from service.core.ports import OnText

MOST_BYTES = 64_000_000
"""A line that never ends is given up here."""


class StreamedCompletion:
    """Reads the events of one answer with one choice."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self.begun = False
        """Whether anything has come, so that the call cannot be made anew elsewhere."""
        self._rest = b""
        self._pieces: list[str] = []
        self._finish: object = None
        self._usage: Any = None

    def feed(self, data: bytes) -> None:
        """Take what came over the wire, cut anywhere. Raises GeneratorError."""
        self.begun = True
        # By \n alone: text may hold U+2028 and the like, at which str.splitlines would cut.
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise GeneratorProtocolError("The generator sends an event without an end.")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            if name == b"data" and value.strip() not in (b"", b"[DONE]"):
                self._event(value)

    def completion(self) -> Completion:
        """The whole of it. Raises GeneratorProtocolError when it has not ended as it should."""
        choice = {"text": "".join(self._pieces), "finish_reason": self._finish}
        return openai_wire.read_completion({"choices": [choice], "usage": self._usage})

    def _event(self, value: bytes) -> None:
        try:
            payload = json.loads(value)
            choices = payload.get("choices") or ()
            error = payload.get("error")
            self._usage = payload.get("usage") or self._usage
            if error is not None:
                raise _failed(error)
            for choice in choices:
                # A choice of chat has a delta; one of a raw completion has its text.
                piece = choice["delta"].get("content") if "delta" in choice else choice["text"]
                self._finish = choice.get("finish_reason") or self._finish
                if piece:
                    self._pieces.append(piece)
                    self._on_text(piece)
        except (ValueError, AttributeError, KeyError, TypeError) as exc:
            raise GeneratorProtocolError("An event of the generator cannot be read.") from exc


def _failed(error: object) -> GeneratorError:
    said = error.get("message", "") if isinstance(error, dict) else error
    message = str(said).strip()[: openai_wire.MESSAGE_CHARS]
    return GeneratorUnavailable(f"The generator failed while it answered: {message}")
