"""Let groups choose among answers that exist already: your own, or drawn by an LLM elsewhere."""

import json
import os
from pathlib import Path

import httpx
from openai import OpenAI

from service.client import GPOClient

MARKETS = Path(__file__).parent / "markets"
PAIR = ["cedar-city", "birch-valley"]
PROMPT = "What should the government do about climate change?"
ANSWERS = [
    "It should tax what harms the climate and pay for trains and solar power.",
    "It should leave people alone and let prices decide.",
    "It should pay for research into new technology.",
    "Nothing, since the climate has always changed.",
    "It should forbid the worst machines and cars within ten years.",
]
DRAWN_FOR = "Should the government raise taxes on petrol?"
URL = os.environ.get("GPO_URL", "http://127.0.0.1:8000")
# Any server that speaks OpenAI's API may draw; here it is the service itself, without a group.
LLM = OpenAI(
    base_url=os.environ.get("LLM_URL", f"{URL}/v1"), api_key=os.environ.get("LLM_KEY", "none")
)


def groups() -> list[dict]:
    text = (MARKETS / "markets.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


with GPOClient(URL) as client:
    for group in client.groups.import_(groups()):
        assert group.status != "refused", group.errors

    # 1. Answers that you have, in the order of each group.
    for scored in client.score(PROMPT, ANSWERS, group_ids=PAIR).scores:
        print(f"\n{scored.group_id}, of its own answers")
        for result in sorted(scored.results, key=lambda r: -r.score):
            low, high = result.interval
            print(f"  {result.score:.2f} ({low:.2f} to {high:.2f})  {ANSWERS[result.index]}")

    # 2. The same for what takes Cohere's or Jina's rerankers: one group, best first.
    body = {"group_id": PAIR[1], "query": PROMPT, "documents": ANSWERS, "top_n": 1}
    best = httpx.post(f"{URL}/v1/rerank", json=body, timeout=60).raise_for_status().json()
    print(f"\n{PAIR[1]}, by /v1/rerank: {ANSWERS[best['results'][0]['index']]}")

    # 3. Draw with OpenAI's client, then let each group choose.
    drawn = LLM.chat.completions.create(
        model=LLM.models.list().data[0].id,
        messages=[{"role": "user", "content": DRAWN_FOR}],
        n=6,
        seed=7,
        max_tokens=40,
        temperature=0.8,
    )
    texts = [choice.message.content or "" for choice in drawn.choices]
    scores = client.score(DRAWN_FOR, texts, group_ids=PAIR)
    for scored in scores.scores:
        chosen = max(scored.results, key=lambda r: r.score)
        print(f"\n{scored.group_id} would choose, of {len(texts)} drawn, with {chosen.score:.2f}:")
        print(f"  {texts[chosen.index]}")
