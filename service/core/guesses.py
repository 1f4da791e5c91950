"""What a language model expects of questions that no bank knows, asked and attached.

Decides which questions are asked; how a model is asked is behind the Guesser port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from service.core.contexts import GroupContext
from service.core.domain import Context, FloatArray, Guess, Kind, Preference, Question
from service.core.errors import FieldError, GeneratorRejected, InvalidInput
from service.core.ports import Guesser, Scorer


class Guesses:
    """Attaches guesses to contexts and to the questions of a request."""

    def __init__(self, guesser: Guesser, scorer: Scorer, *, context_questions: int) -> None:
        """At most `context_questions` of one context are asked, the same whatever their order."""
        self._guesser = guesser
        self._scorer = scorer
        self._context_questions = context_questions

    async def of_contexts(self, groups: Sequence[GroupContext]) -> list[Context]:
        """Each group's context; what it is expected to answer to new questions is guessed.

        So its answers are compared with the same prior that is corrected by them. Raises
        DeadlineExceeded, Overloaded, GeneratorError; InvalidInput for preferences sent inline.
        """
        return [await self._of_context(group) for group in groups]

    async def of_questions(
        self,
        contexts: Sequence[Context],
        questions: Sequence[Question],
        vectors: Sequence[FloatArray],
        *,
        at: Sequence[str],
    ) -> list[Guess | None]:
        """A guess for each question that is new to one of the contexts, None for the others."""
        known = await self._scorer.known(contexts, vectors)
        new = [i for i, is_known in enumerate(known) if not is_known]
        asked = [(questions[i].question, questions[i].options) for i in new]
        try:
            found = await self._guesser.guess(asked, tenant=contexts[0].tenant)
        except GeneratorRejected as exc:
            pointer = f"{at[new[0]]}/question" if len(new) == 1 else "/questions"
            raise InvalidInput([FieldError(pointer, str(exc))]) from exc
        guesses: list[Guess | None] = [None] * len(questions)
        for i, guess in zip(new, found, strict=True):
            guesses[i] = guess
        return guesses

    async def _of_context(self, group: GroupContext) -> Context:
        context = group.context
        shares = [i for i, item in enumerate(context.items) if item.kind is Kind.SHARE]
        known = await self._scorer.known([context], [context.items[i].vectors for i in shares])
        new = [i for i, is_known in zip(shares, known, strict=True) if not is_known]
        if len(new) > self._context_questions:
            ranked = sorted(new, key=lambda i: _rank(group.preferences[i]))
            new = sorted(ranked[: self._context_questions])
        if not new:
            return context
        asked = [(group.preferences[i].prompt, group.preferences[i].responses) for i in new]
        try:
            found = await self._guesser.guess(asked, tenant=context.tenant)
        except GeneratorRejected as exc:
            if group.group_id is not None:
                raise
            raise InvalidInput([FieldError("/preferences", str(exc))]) from exc
        return _with_guesses(context, dict(zip(new, found, strict=True)))


def _with_guesses(context: Context, guesses: dict[int, Guess]) -> Context:
    items = [replace(item, guess=guesses.get(i)) for i, item in enumerate(context.items)]
    asked = repr([(i, guess.model) for i, guess in sorted(guesses.items())])
    name = hashlib.sha256(asked.encode()).hexdigest()
    return replace(context, items=tuple(items), guessed=name)


def _rank(preference: Preference) -> str:
    text = "\n".join([preference.prompt, *sorted(preference.responses)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
