"""What the HTTP generator makes of servers that misbehave, or are not vLLM; no vLLM needed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from fixtures.openai_fake import Handler, Reply, Request, chat, fake_server, models

from service.adapters.generators.vllm_http import VllmHttpGenerator
from service.core.domain import ChatPrompt, Completion, Message, RawPrompt, SamplingParams
from service.core.errors import (
    DeadlineExceeded,
    GeneratorError,
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
    UnknownModel,
)

PROMPT = ChatPrompt((Message("system", "Be brief."), Message("user", "Should the pool open?")))
PARAMS = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=20, stop=("\n",))


@asynccontextmanager
async def client(*urls: str, model: str | None = None) -> AsyncIterator[VllmHttpGenerator]:
    generator = VllmHttpGenerator(urls, model=model)
    try:
        yield generator
    finally:
        await generator.close()


async def ask(generator: VllmHttpGenerator, *, seconds: float = 30.0) -> Completion:
    return await generator.generate_one(
        PROMPT, PARAMS, seed=5, deadline=time.monotonic() + seconds, cache_salt="tenant-a"
    )


def closed_url() -> str:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"


async def yes(_: Request) -> Reply:
    return chat("Yes, it should.")


async def never(_: Request) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def always(reply: Reply) -> Handler:
    async def answer(_: Request) -> Reply:
        return reply

    return answer


async def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_server_that_is_not_vllm_gets_openai_fields_alone() -> None:
    async with fake_server(yes) as fake, client(fake.url) as generator:
        completion = await ask(generator)
    assert completion == Completion("Yes, it should.", "stop", 7, 3)
    (request,) = fake.completions
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "model": "fake-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Should the pool open?"},
        ],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 20,
        "stop": ["\n"],
        "seed": 5,
    }
    assert generator.model == "fake-model"


async def test_vllm_gets_the_cache_salt() -> None:
    listing = models("lm", owner="vllm")
    async with fake_server(yes, listing=listing) as fake, client(fake.url) as generator:
        await ask(generator)
    assert fake.completions[0].body["cache_salt"] == "tenant-a"


async def test_raw_text_goes_to_the_completions_route() -> None:
    reply = Reply(body={"choices": [{"index": 0, "text": " warm.", "finish_reason": "length"}]})
    async with fake_server(always(reply)) as fake, client(fake.url) as generator:
        completion = await generator.generate_one(RawPrompt("Water is"), PARAMS, seed=1)
    assert completion == Completion(" warm.", "length", 0, 0), "no usage counts as 0"
    assert fake.completions[0].path == "/v1/completions"
    assert fake.completions[0].body["prompt"] == "Water is"


async def test_the_key_is_sent_as_a_bearer_token() -> None:
    async with fake_server(yes) as fake:
        generator = VllmHttpGenerator([fake.url], api_key="key-1")
        await ask(generator)
        await generator.close()
    assert {r.headers["authorization"] for r in fake.requests} == {"Bearer key-1"}


async def test_a_server_without_a_model_list_serves_the_configured_model() -> None:
    missing = Reply(status=404, body={"detail": "Not Found"})
    async with fake_server(yes, listing=missing) as fake:
        async with client(fake.url, model="alias") as generator:
            await generator.check()
            await ask(generator)
        assert fake.completions[0].body["model"] == "alias"
        async with client(fake.url) as generator:
            with pytest.raises(UnknownModel, match="GPO_MODEL"):
                await ask(generator)


async def test_reasoning_that_used_up_the_tokens_is_an_empty_text() -> None:
    reply = chat(None, finish="length")
    async with fake_server(always(reply)) as fake, client(fake.url) as generator:
        assert (await ask(generator)).text == ""


OPENAI_404 = {"error": {"message": "The model `x` does not exist.", "code": 404}}
TOO_LONG = {"error": {"message": "maximum context length is 1024 tokens", "code": 400}}
FAULTS = {
    "500": (Reply(status=500, body={"error": {"message": "boom"}}), GeneratorUnavailable, "boom"),
    "503": (Reply(status=503, text="busy"), GeneratorUnavailable, "busy"),
    "429": (Reply(status=429, text=""), GeneratorUnavailable, "429"),
    "401": (Reply(status=401, text="no"), GeneratorUnavailable, "GPO_GENERATOR_API_KEY"),
    "404": (Reply(status=404, body=OPENAI_404), UnknownModel, "does not exist"),
    "400": (Reply(status=400, body=TOO_LONG), GeneratorRejected, "1024 tokens"),
    "422": (Reply(status=422, body={"detail": "bad"}), GeneratorRejected, "refuses"),
    "redirect": (Reply(status=302, text=""), GeneratorProtocolError, "302"),
    "not JSON": (Reply(text="<html>hello</html>"), GeneratorProtocolError, "not JSON"),
    "a JSON list": (Reply(body=[1, 2]), GeneratorProtocolError, "no completion"),
    "null": (Reply(body=None), GeneratorProtocolError, "no completion"),
    "no choices": (Reply(body={"choices": []}), GeneratorProtocolError, "no completion"),
    "text is a number": (
        Reply(body={"choices": [{"text": 5, "finish_reason": "stop"}]}),
        GeneratorProtocolError,
        "cannot be used",
    ),
    "finish_reason is a list": (
        Reply(body={"choices": [{"text": "x", "finish_reason": ["stop"]}]}),
        GeneratorProtocolError,
        "cannot be used",
    ),
    "half a surrogate": (chat("\ud800"), GeneratorProtocolError, "not Unicode"),
    "deeply nested": (Reply(text="[" * 100_000), GeneratorProtocolError, "not JSON"),
    "500 and deeply nested": (
        Reply(status=500, text="[" * 100_000),
        GeneratorUnavailable,
        "500",
    ),
    "choice is text": (Reply(body={"choices": ["yes"]}), GeneratorProtocolError, "no completion"),
    "filtered": (chat("x", finish="content_filter"), GeneratorProtocolError, "content_filter"),
    "aborted": (chat("x", finish="abort"), GeneratorProtocolError, "abort"),
    "not HTTP": (Reply(raw=b"SSH-2.0-server\r\n"), GeneratorUnavailable, "cannot be reached"),
    "cut off": (
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        GeneratorUnavailable,
        "cannot be reached",
    ),
    "bad gzip": (
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
        GeneratorProtocolError,
        "decoded",
    ),
    "hung up": (Reply(raw=None), GeneratorUnavailable, "cannot be reached"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_has_its_error(fault: str) -> None:
    reply, error, words = FAULTS[fault]
    async with fake_server(always(reply)) as fake, client(fake.url) as generator:
        with pytest.raises(error, match=words) as caught:
            await ask(generator)
    assert isinstance(caught.value, GeneratorError)


@pytest.mark.parametrize(
    "listing", [Reply(text="[]"), Reply(body={"data": [3]}), Reply(text=""), models("\ud800")]
)
async def test_a_model_list_that_makes_no_sense(listing: Reply) -> None:
    async with fake_server(yes, listing=listing) as fake, client(fake.url) as generator:
        with pytest.raises(GeneratorProtocolError):
            await generator.check()
        with pytest.raises(GeneratorProtocolError):
            await ask(generator)


async def test_the_deadline_ends_a_hanging_call_and_its_connection() -> None:
    async with fake_server(never) as fake, client(fake.url) as generator:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await ask(generator, seconds=0.3)
        assert time.monotonic() - started < 5
        await until(lambda: fake.left == 1)
        assert len(fake.completions) == 1, "a call that ran out of time is not tried again"


async def test_a_deadline_in_the_past_sends_nothing() -> None:
    async with fake_server(yes) as fake, client(fake.url) as generator:
        with pytest.raises(DeadlineExceeded):
            await ask(generator, seconds=-1)
        assert fake.requests == []


async def test_cancelling_closes_the_connection() -> None:
    async with fake_server(never) as fake, client(fake.url) as generator:
        call = asyncio.create_task(ask(generator))
        await until(lambda: fake.under_way == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: fake.under_way == 0 and fake.left == 1)


async def test_a_deadline_and_cancellations_at_one_time_leave_no_connection_open() -> None:
    async with fake_server(never) as fake, client(fake.url) as generator:
        await generator.check()
        calls = [asyncio.create_task(ask(generator, seconds=0.5)) for _ in range(32)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(5):
            for call in calls:
                call.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: fake.under_way == 0)


async def test_nobody_listens() -> None:
    async with client(closed_url()) as generator:
        with pytest.raises(GeneratorUnavailable, match="cannot be reached"):
            await generator.check()
        with pytest.raises(GeneratorUnavailable, match="cannot be reached"):
            await ask(generator)


async def test_a_closed_generator_says_so() -> None:
    async with fake_server(yes) as fake:
        async with client(fake.url) as generator:
            await generator.check()
        with pytest.raises(GeneratorUnavailable, match="closed"):
            await ask(generator)


async def test_check_wants_the_model_from_vllm_but_not_from_others() -> None:
    listing = models("lm", owner="vllm")
    async with (
        fake_server(yes, listing=listing) as fake,
        client(fake.url, model="other") as generator,
    ):
        with pytest.raises(UnknownModel, match="'other'; it serves lm"):
            await generator.check()
    async with fake_server(yes) as fake, client(fake.url, model="alias") as generator:
        await generator.check()


async def test_calls_run_side_by_side() -> None:
    gate = asyncio.Event()

    async def wait(_: Request) -> Reply:
        await gate.wait()
        return chat("Yes.")

    async with fake_server(wait) as fake, client(fake.url) as generator:
        calls = [asyncio.create_task(ask(generator)) for _ in range(100)]
        await until(lambda: fake.under_way == 100)
        gate.set()
        await asyncio.gather(*calls)


class TestSeveralServers:
    async def test_the_one_with_the_fewest_calls_is_taken(self) -> None:
        async with (
            fake_server(never) as one,
            fake_server(never) as two,
            client(one.url, two.url) as generator,
        ):
            calls = [asyncio.create_task(ask(generator)) for _ in range(10)]
            await until(lambda: one.under_way + two.under_way == 10)
            assert (one.under_way, two.under_way) == (5, 5)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def test_a_dead_one_is_passed_over(self) -> None:
        async with fake_server(yes) as alive, client(closed_url(), alive.url) as generator:
            await generator.check()
            for _ in range(5):
                assert (await ask(generator)).text == "Yes, it should."
            assert len(alive.completions) == 5

    @pytest.mark.parametrize("status", [429, 502, 503])
    async def test_a_busy_one_is_passed_over_for_a_moment(self, status: int) -> None:
        async with (
            fake_server(always(Reply(status=status, text="busy"))) as busy,
            fake_server(yes) as free,
            client(busy.url, free.url) as generator,
        ):
            for _ in range(4):
                assert (await ask(generator)).text == "Yes, it should."
            assert (len(busy.completions), len(free.completions)) == (1, 4)

    async def test_a_failed_request_is_not_sent_to_all_of_them(self) -> None:
        failing = always(Reply(status=500, text="cuda error"))
        async with (
            fake_server(failing) as one,
            fake_server(failing) as two,
            client(one.url, two.url) as generator,
        ):
            with pytest.raises(GeneratorUnavailable, match="cuda error"):
                await ask(generator)
            assert len(one.completions) + len(two.completions) == 1

    async def test_a_server_is_asked_again_after_its_model_changed(self) -> None:
        async def answer(request: Request) -> Reply:
            known = request.body["model"] == fake.listing.body["data"][0]["id"]
            return chat("Yes.") if known else Reply(status=404, body=OPENAI_404)

        async with (
            fake_server(answer, listing=models("first")) as fake,
            client(fake.url) as generator,
        ):
            await ask(generator)
            fake.listing = models("second")
            with pytest.raises(UnknownModel):
                await ask(generator)
            assert (await ask(generator)).text == "Yes."
