"""Asking a language model about questions: once each, within places and time, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from service.adapters.generators.guesser import LlmGuesser
from service.core.admission import Admission
from service.core.domain import ChatPrompt, Prompt
from service.core.errors import DeadlineExceeded, GeneratorUnavailable, Overloaded
from service.core.tenants import cache_salt

QUESTION = ("May shops open?", ("No", "Yes", "Never on a Sunday"))
MIXED = ("May shops open? ", ("Never on  a Sunday", "No", "Yes"))
OTHER = ("Is it late?", ("No", "Yes"))


@dataclass
class Reader:
    """Likes what is listed first, and short options; counts, and can wait or fail."""

    model: str = "reader"
    prompts: list[Prompt] = field(default_factory=list)
    hold: asyncio.Event | None = None
    fault: Exception | None = None
    now: int = 0
    most: int = 0
    salts: set[str | None] = field(default_factory=set)

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        self.prompts.append(prompt)
        self.salts.add(cache_salt)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with asyncio.timeout_at(deadline):
                await (self.hold.wait() if self.hold else asyncio.sleep(0))
        except TimeoutError as exc:
            raise DeadlineExceeded("late") from exc
        finally:
            self.now -= 1
        if self.fault is not None:
            raise self.fault
        assert isinstance(prompt, ChatPrompt)
        text = prompt.messages[-1].content
        first = min(options, key=lambda option: text.index(f"- {option}\n"))
        return [-0.1 * len(option) + 2 * (option == first) for option in options]


def guesser_of(
    reader: Reader, *, capacity: int = 8, places: int = 8, timeout_s: float = 30.0
) -> LlmGuesser:
    return LlmGuesser(
        reader, Admission(capacity), system_prompt=None, places=places, timeout_s=timeout_s
    )


async def test_a_guess_does_not_depend_on_the_order_of_the_options() -> None:
    ((straight,), (mixed,)) = [
        await guesser_of(Reader()).guess([q], tenant="a") for q in (QUESTION, MIXED)
    ]
    np.testing.assert_array_equal(straight.shares, mixed.shares[[1, 2, 0]])
    wanted = np.exp([-0.2, -0.3, -1.7])  # the lengths alone: the liking for a place is gone
    np.testing.assert_allclose(straight.shares, wanted / wanted.sum(), atol=1e-6)
    assert straight.model == "reader"


async def test_each_question_is_asked_once_whatever_its_order() -> None:
    reader = Reader()
    guesser = guesser_of(reader)
    first = await guesser.guess([QUESTION, OTHER, MIXED], tenant="a")
    assert len(reader.prompts) == 3 + 2
    again = await asyncio.gather(*(guesser.guess([MIXED, OTHER], tenant="a") for _ in range(3)))
    assert len(reader.prompts) == 3 + 2
    np.testing.assert_array_equal(again[0][0].shares, first[2].shares)
    assert [len(g.shares) for g in first] == [3, 2, 3]


async def test_requests_at_the_same_time_share_the_asking() -> None:
    reader = Reader()
    guesser = guesser_of(reader, capacity=100)
    await asyncio.gather(*(guesser.guess([QUESTION], tenant="a") for _ in range(5)))
    assert len(reader.prompts) == 3


async def test_another_model_is_asked_anew() -> None:
    reader = Reader()
    guesser = guesser_of(reader)
    await guesser.guess([OTHER], tenant="a")
    reader.model = "another"
    (found,) = await guesser.guess([OTHER], tenant="a")
    assert (found.model, len(reader.prompts)) == ("another", 4)


async def test_the_operators_system_prompt_stays_in_front() -> None:
    reader = Reader()
    guesser = LlmGuesser(reader, Admission(8), system_prompt="Be kind.", places=8, timeout_s=9)
    await guesser.guess([OTHER], tenant="a")
    assert all(isinstance(p, ChatPrompt) for p in reader.prompts)
    roles = [(p.messages[0].role, p.messages[0].content) for p in reader.prompts]  # type: ignore[union-attr]
    assert roles == [("system", "Be kind.")] * 2


async def test_a_request_takes_places_and_no_more() -> None:
    reader = Reader()
    guesser = guesser_of(reader, capacity=5, places=5)
    await guesser.guess([(f"Is it {i}?", ("No", "Yes", "Maybe")) for i in range(6)], tenant="a")
    assert reader.most == 5


async def test_a_full_service_refuses_at_once_and_frees_its_places() -> None:
    reader = Reader(hold=asyncio.Event())
    guesser = guesser_of(reader, capacity=3)
    running = asyncio.create_task(guesser.guess([OTHER], tenant="a"))
    while reader.now < 2:  # noqa: ASYNC110 - the reader has no event for it
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await guesser.guess([QUESTION], tenant="a")
    reader.hold.set()  # type: ignore[union-attr]
    await running
    assert len(await guesser.guess([("Is it dark?", ("No", "Yes"))], tenant="a")) == 1


async def test_time_runs_out_as_an_error() -> None:
    reader = Reader(hold=asyncio.Event())
    with pytest.raises(DeadlineExceeded):
        await guesser_of(reader, timeout_s=0.05).guess([OTHER], tenant="a")
    assert reader.now == 0


async def test_a_failure_is_no_guess_and_is_not_kept() -> None:
    reader = Reader(fault=GeneratorUnavailable("gone"))
    guesser = guesser_of(reader)
    with pytest.raises(GeneratorUnavailable):
        await guesser.guess([OTHER, QUESTION], tenant="a")
    assert reader.now == 0
    reader.fault = None
    assert len((await guesser.guess([OTHER], tenant="a"))[0].shares) == 2


async def test_tenants_share_no_guess_and_no_prefix_cache() -> None:
    reader = Reader()
    guesser = guesser_of(reader)
    (first,) = await guesser.guess([OTHER], tenant="a")
    asked = len(reader.prompts)
    assert reader.salts == {cache_salt("a")}
    (other,) = await guesser.guess([OTHER], tenant="b")
    assert len(reader.prompts) == 2 * asked
    assert reader.salts == {cache_salt("a"), cache_salt("b")}
    assert (first.shares == other.shares).all()
