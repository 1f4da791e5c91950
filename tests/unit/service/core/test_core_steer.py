"""Drawing, scoring and choosing: what is drawn, what is stopped, what wins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEmbedder, FakeGenerator, FakeScorer, text_vector

from service.adapters.stores.sqlite_store import SqliteStore
from service.core.admission import Admission
from service.core.candidates import Weights, consensus_of, relevance_of
from service.core.contexts import Contexts, Target
from service.core.domain import (
    ChatPrompt,
    Context,
    FloatArray,
    Message,
    RatingPreference,
    SamplingParams,
    Scores,
)
from service.core.draft_scorer import ScoredDraft
from service.core.errors import (
    DeadlineExceeded,
    GeneratorError,
    GeneratorUnavailable,
    GroupNotFound,
    InvalidInput,
    Overloaded,
    ScorerFailed,
)
from service.core.limits import Limits
from service.core.steer import Begun, GenerateRequest, Generation, Steer
from service.core.steering import Steering
from service.core.timing import Stopwatch

LIKES = RatingPreference("Say.", "Yes.", 1.0)


@dataclass
class Rig:
    store: SqliteStore
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    scorer: FakeScorer = field(default_factory=FakeScorer)
    admission: Admission = field(default_factory=lambda: Admission(8))

    def steer(self, **settings: Any) -> Steer:
        limits = Limits()
        return Steer(
            contexts=Contexts(self.store, self.embedder, limits),
            generator=self.generator,
            embedder=self.embedder,
            scorer=self.scorer,
            admission=self.admission,
            limits=limits,
            **settings,
        )

    async def run(self, steer: Steer | None = None, **changes: Any) -> Generation:
        return await (steer or self.steer()).run("acme", request(**changes))


def request(**changes: Any) -> GenerateRequest:
    fields: dict[str, Any] = {
        "target": Target(preferences=(LIKES,)),
        "prompt": ChatPrompt((Message("user", "Why?"),)),
        "prompt_at": "/prompt",
        "n": 4,
        "params": SamplingParams(),
        "seed": 1,
        "steering": Steering.NONE,
        "timeout_s": 30.0,
        "allow_partial": False,
    }
    return GenerateRequest(**{**fields, **changes})


def saying(*texts: str) -> Callable[[int], str]:
    """The i-th candidate says the i-th text, when the request's seed is 1."""
    return lambda seed: texts[seed - 1]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    store = SqliteStore(tmp_path / "groups.db")
    yield Rig(store)
    await store.close()


async def test_the_highest_score_wins(rig: Rig) -> None:
    [choice] = (await rig.run()).choices
    scores = [c.approval.score for c in choice.candidates]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert choice.text == choice.candidates[0].draft.text
    assert rig.admission.taken == 0


async def test_equal_texts_go_in_the_order_drawn(rig: Rig) -> None:
    rig.generator.say = lambda seed: "The same."
    [choice] = (await rig.run()).choices
    assert [c.draft.index for c in choice.candidates] == [0, 1, 2, 3]


@pytest.mark.parametrize("empty", ["", "  \n", "<think>I wonder</think>", "<think>I won"])
async def test_an_empty_text_loses_to_any_other(rig: Rig, empty: str) -> None:
    rig.generator.say = saying(empty, "Something.", empty)
    [choice] = (await rig.run(n=3)).choices
    assert [c.draft.index for c in choice.candidates] == [1, 0, 2]
    assert choice.candidates[0].approval.probability == 1
    assert [c.approval.probability for c in choice.candidates[1:]] == [0, 0]
    assert ("Why?", "Something.") in rig.embedder.embedded
    assert len(rig.embedder.embedded) == 2  # the context and the one text


async def test_nothing_but_empty_texts_is_an_empty_answer(rig: Rig) -> None:
    rig.generator.say = lambda seed: " "
    [choice] = (await rig.run(n=2)).choices
    assert [c.draft.index for c in choice.candidates] == [0, 1]
    assert choice.text.strip() == ""


async def test_reasoning_is_kept_but_not_scored(rig: Rig) -> None:
    rig.generator.say = saying("<think>Hm.</think>\n\nA swim.", "A walk.")
    [choice] = (await rig.run(n=2)).choices
    drafts = sorted((c.draft for c in choice.candidates), key=lambda d: d.index)
    assert [(d.text, d.reasoning) for d in drafts] == [("A swim.", "Hm."), ("A walk.", None)]
    assert ("Why?", "A swim.") in rig.embedder.embedded


async def test_long_texts_are_scored_by_their_beginning(rig: Rig) -> None:
    rig.generator.say = saying("word " * 90, "Short.")
    [choice] = (await rig.run(n=2)).choices
    assert {c.draft.index: c.draft.truncated for c in choice.candidates} == {0: True, 1: False}
    long = next(c for c in choice.candidates if c.draft.index == 0)
    assert long.draft.text == "word " * 90


async def test_consensus_moves_the_choice_only_with_a_weight(rig: Rig) -> None:
    rig.generator.say = saying("Odd.", "Common.", "Common.", "Common.")
    [plain] = (await rig.run()).choices
    assert [c.consensus for c in plain.candidates] == [None] * 4
    assert all(c.selection_score == c.approval.score for c in plain.candidates)
    [heavy] = (await rig.run(rig.steer(weights=Weights(consensus=100.0)))).choices
    assert heavy.text == "Common."
    assert heavy.candidates[-1].draft.text == "Odd."
    for candidate in heavy.candidates:
        assert candidate.consensus is not None
        assert candidate.selection_score == pytest.approx(
            candidate.approval.score + 100 * candidate.consensus
        )


async def test_consensus_is_that_of_the_bare_texts(rig: Rig) -> None:
    texts = ("Odd.", " ", "Common.", "Other.")
    rig.generator.say = saying(*texts)
    await rig.run()
    assert {prompt for prompt, _ in rig.embedder.embedded} == {"Say.", "Why?"}
    [weighed] = (await rig.run(rig.steer(weights=Weights(consensus=1.0)))).choices
    bare = [texts[i] for i in (0, 2, 3)]
    assert [(p, r) for p, r in rig.embedder.embedded if not p] == [("", text) for text in bare]
    near = consensus_of(np.stack([text_vector(f"\n{text}") for text in bare]))
    found = {c.draft.text: c.consensus for c in weighed.candidates if not c.draft.is_empty}
    assert found == pytest.approx(dict(zip(bare, near, strict=True)))


async def test_relevance_to_the_prompt_moves_the_choice_only_with_a_weight(rig: Rig) -> None:
    texts = ("Odd.", " ", "Why?", "Other.")
    rig.generator.say = saying(*texts)
    [plain] = (await rig.run()).choices
    assert [c.relevance for c in plain.candidates] == [None] * 4
    both = Weights(consensus=0.5, relevance=100.0)
    [weighed] = (await rig.run(rig.steer(weights=both))).choices
    assert weighed.text == "Why?"  # nothing is nearer to the prompt than itself
    vectors = np.stack([text_vector(f"\n{texts[i]}") for i in (0, 2, 3)])
    near = relevance_of(text_vector("\nWhy?")[None], vectors)
    found = {c.draft.text: c for c in weighed.candidates if not c.draft.is_empty}
    for text, relevance in zip(("Odd.", "Why?", "Other."), near, strict=True):
        candidate = found[text]
        assert candidate.relevance == pytest.approx(relevance)
        assert candidate.consensus is not None
        assert candidate.selection_score == pytest.approx(
            candidate.approval.score + 0.5 * candidate.consensus + 100 * relevance
        )
    assert weighed.candidates[-1].draft.is_empty


async def test_each_candidate_has_its_own_seed(rig: Rig) -> None:
    result = await rig.run(seed=40, n=3)
    assert result.seed == 40
    assert sorted(rig.generator.seeds) == [40, 41, 42]
    first = await rig.run(seed=None)
    second = await rig.run(seed=None)
    assert first.seed != second.seed


async def test_tokens_are_summed_over_the_candidates(rig: Rig) -> None:
    rig.generator.say = saying("one two", "three", "four five six")
    result = await rig.run(n=3)
    assert (result.prompt_tokens, result.completion_tokens) == (3, 6)
    assert result.timings["total_ms"] >= result.timings["generate_ms"] >= 0


async def test_the_first_failure_stops_the_others(rig: Rig) -> None:
    rig.generator.say = lambda seed: GeneratorUnavailable("gone")
    rig.generator.hang = lambda seed: seed != 3
    with pytest.raises(GeneratorUnavailable):
        await rig.run()
    assert sorted(rig.generator.cancelled) == [1, 2, 4]
    assert rig.admission.taken == 0


async def test_partial_results_are_chosen_from_when_allowed(rig: Rig) -> None:
    rig.generator.say = lambda seed: GeneratorError("odd") if seed == 1 else f"Text {seed}."
    rig.generator.hang = lambda seed: seed == 2
    started = time.monotonic()
    result = await rig.run(allow_partial=True, timeout_s=1.0)
    assert time.monotonic() - started < 20
    assert result.failed == 2
    assert sorted(c.draft.index for c in result.choices[0].candidates) == [2, 3]
    assert rig.generator.cancelled == [2]


async def test_partial_results_need_one_candidate(rig: Rig) -> None:
    rig.generator.hang = lambda seed: True
    with pytest.raises(DeadlineExceeded):
        await rig.run(allow_partial=True, timeout_s=0.1)
    rig.generator.hang = lambda seed: False
    rig.generator.say = lambda seed: GeneratorError("odd")
    with pytest.raises(GeneratorError):
        await rig.run(allow_partial=True)


async def test_a_fault_of_the_program_is_never_partial(rig: Rig) -> None:
    rig.generator.say = lambda seed: RuntimeError("bug") if seed == 2 else "Fine."
    with pytest.raises(RuntimeError):
        await rig.run(allow_partial=True)


async def test_each_candidate_is_told_while_the_others_are_drawn(rig: Rig) -> None:
    rig.generator.hang = lambda seed: seed != 3
    heard: asyncio.Queue[Begun | ScoredDraft] = asyncio.Queue()
    running = asyncio.create_task(rig.steer().run("acme", request(), listen=heard.put_nowait))
    async with asyncio.timeout(10):
        begun, scored = await heard.get(), await heard.get()
    assert isinstance(begun, Begun)
    assert (begun.seed, [group.group_id for group in begun.groups]) == (1, [None])
    assert isinstance(scored, ScoredDraft)
    assert (scored.draft.index, scored.draft.text) == (2, "Opinion number 3.")
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_score_does_not_depend_on_when_its_draft_came(rig: Rig) -> None:
    heard: list[Begun | ScoredDraft] = []
    result = await rig.steer().run("acme", request(), listen=heard.append)
    early = {s.draft.index: s.approvals[0].score for s in heard if isinstance(s, ScoredDraft)}
    [choice] = result.choices
    assert {c.draft.index: c.approval.score for c in choice.candidates} == pytest.approx(early)
    assert sum(c.approval.probability for c in choice.candidates) == pytest.approx(1)


async def test_the_choice_is_among_scores_of_one_moment(rig: Rig) -> None:
    calls: list[int] = []
    score = rig.scorer.score

    async def counted(contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        calls.append(len(responses))
        return await score(contexts, responses)

    rig.scorer.score = counted  # type: ignore[method-assign]
    await rig.run()
    assert calls == [4]
    await rig.steer().run("acme", request(), listen=lambda step: None)
    assert calls == [4, 1, 1, 1, 1, 4]


async def test_nobody_hears_of_an_unknown_group(rig: Rig) -> None:
    heard: list[Begun | ScoredDraft] = []
    asked = request(target=Target(group_ids=("nobody",)))
    with pytest.raises(GroupNotFound):
        await rig.steer().run("acme", asked, listen=heard.append)
    assert heard == []
    assert rig.generator.seeds == []


async def test_time_that_was_up_before_the_work_began_draws_nothing(rig: Rig) -> None:
    watch = Stopwatch()
    watch.started -= 10
    with watch.running(), pytest.raises(DeadlineExceeded):
        await rig.run(timeout_s=5)
    assert rig.generator.seeds == []
    assert rig.admission.taken == 0


async def test_a_failed_embedder_is_never_partial(rig: Rig) -> None:
    rig.embedder.fault = lambda vectors: vectors * np.nan if rig.generator.seeds else vectors
    rig.generator.hang = lambda seed: seed == 2
    started = time.monotonic()
    with pytest.raises(ScorerFailed):
        await rig.run(allow_partial=True)
    assert time.monotonic() - started < 10
    assert rig.generator.cancelled == [2]


async def test_a_failed_scorer_gives_no_text(rig: Rig) -> None:
    rig.scorer.fault = ScorerFailed("broken")
    with pytest.raises(ScorerFailed):
        await rig.run()
    assert rig.admission.taken == 0


async def test_time_is_up(rig: Rig) -> None:
    rig.generator.hang = lambda seed: True
    with pytest.raises(DeadlineExceeded):
        await rig.run(timeout_s=0.05)
    assert sorted(rig.generator.cancelled) == [1, 2, 3, 4]
    assert rig.admission.taken == 0


async def test_cancelling_stops_every_candidate(rig: Rig) -> None:
    rig.generator.hang = lambda seed: True
    running = asyncio.create_task(rig.run())
    await rig.generator.started.wait()
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(rig.generator.cancelled) == [1, 2, 3, 4]
    assert rig.admission.taken == 0


async def test_what_does_not_fit_is_refused_at_once(rig: Rig) -> None:
    rig.generator.hang = lambda seed: True
    steer = rig.steer()
    running = [asyncio.create_task(rig.run(steer)) for _ in range(2)]
    await rig.generator.started.wait()
    await asyncio.sleep(0.05)
    assert rig.admission.taken == 8
    with pytest.raises(Overloaded) as refused:
        await rig.run(steer, n=1)
    assert refused.value.retry_after_s >= 1
    running.pop().cancel()
    await asyncio.sleep(0.05)
    rig.generator.hang = lambda seed: False
    assert len((await rig.run(steer)).choices) == 1
    running.pop().cancel()


async def test_steering_speaks_to_the_generator_alone(rig: Rig) -> None:
    steer = rig.steer(system_prompt="Be kind.")
    await rig.run(steer, steering=Steering.PREFERENCES, n=1)
    [prompt] = rig.generator.prompts
    system, user = prompt.messages  # type: ignore[union-attr]
    assert system.role == "system"
    assert system.content.startswith("Be kind.")
    assert "Yes." in system.content
    assert user == Message("user", "Why?")
    assert {p for p, _ in rig.embedder.embedded} == {"Say.", "Why?"}


async def test_steering_without_anything_to_say_is_refused(rig: Rig) -> None:
    for changes in (
        {"steering": Steering.DESCRIPTION},
        {"steering": Steering.PREFERENCES, "target": Target(preferences=())},
    ):
        with pytest.raises(InvalidInput) as caught:
            await rig.run(**changes)
        assert caught.value.errors[0].pointer == "/steering"
    assert rig.generator.seeds == []
