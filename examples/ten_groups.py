"""Answer for ten groups from one draw, and see what ten separate requests would have cost."""

import json
import time
from pathlib import Path

from service.client import GPOClient

MARKETS = Path(__file__).parent / "markets"
ASKED = {
    "prompt": "Should the government raise taxes on petrol?",
    "n": 8,
    "max_tokens": 60,
    "temperature": 0.8,
    "seed": 7,
}

with GPOClient() as client:
    text = (MARKETS / "markets.jsonl").read_text(encoding="utf-8")
    groups = [json.loads(line) for line in text.splitlines()]
    for group in client.groups.import_(groups):
        assert group.status != "refused", group.errors
    ids = [g["id"] for g in groups]
    client.generate(**ASKED, group_ids=ids)  # embeds the contexts, once for all that follows

    began = time.perf_counter()
    together = client.generate(**ASKED, group_ids=ids)
    seconds = {"one draw": time.perf_counter() - began}
    tokens = {"one draw": together.usage.total_tokens}

    began = time.perf_counter()
    apart = [client.generate(**ASKED, group_id=name) for name in ids]
    seconds["ten requests"] = time.perf_counter() - began
    tokens["ten requests"] = sum(answer.usage.total_tokens for answer in apart)

for choice in together.choices or []:
    score = next(c.score for c in choice.candidates or [] if c.selected)
    print(f"{choice.group_id:14} {score:.2f}  {choice.text}")
texts = {choice.text for choice in together.choices or []}
print(f"\n{len(ids)} groups chose {len(texts)} different answers out of {ASKED['n']} drawn.")
for name in seconds:
    print(f"{name:13} {seconds[name]:5.1f} s, {tokens[name]:,} tokens")
same = sum(a.text == c.text for a, c in zip(apart, together.choices or [], strict=True))
print(f"The same seed: {same} of {len(ids)} groups got the same answer both ways.")
