"""Figures of the released model on held-out prompts, survey questions and topics.

Reads the data folder, the released folder and the answers logged by the run; returns plain numbers
for the card. Held-out text never leaves this module's memory.
"""

from __future__ import annotations

import gzip
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.embedder_networks import minilm_folder
from models.opinion_lm import measures
from models.opinion_lm.corpus import Corpus, epoch_cases, mentions, normalise
from models.opinion_lm.layouts import with_options
from models.opinion_lm.packing import collate, encode, pack
from models.opinion_lm.sample import Sampler
from models.opinion_lm.statements import state_case
from models.opinion_lm.surveys import Survey, survey_cases
from models.opinion_lm.templates import Case, plan_case, side_case, thing_case
from models.opinion_lm.train import answer_loss

SAMPLES = 8


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """How much is sampled; the defaults are those of the card."""

    seed: int = 7
    surveys: int = 60
    topics: int = 40
    memorisation_samples: int = 1000
    device: str = "cpu"


def evaluate(
    corpus: Corpus, folder: Path, answers: Path, epochs: int, options: EvalOptions
) -> dict[str, Any]:
    """All figures of the card, nested by measure."""
    sampler = Sampler(folder, device=options.device)
    surveys = _spread_out(corpus.held_surveys, options)
    topics = topic_cases(corpus, options)
    real = [p.prompt for p in corpus.held_prompts]
    open_prompts = [*real, *(s.question for s in surveys), *(c.prompt for c in topics)]
    texts = sampler.draw(open_prompts, n=SAMPLES, seed=options.seed)
    kinds = ["real"] * len(real) + ["survey"] * len(surveys) + ["topic"] * len(topics)
    metrics: dict[str, Any] = {
        "held_out": {"prompts": len(real), "surveys": len(surveys), "topic_prompts": len(topics)}
    }
    metrics["perplexity_per_token"] = perplexities(sampler, corpus, topics, options)
    metrics["distinct_of_8"] = {
        f"distinct_{n}": _round(np.mean([measures.distinct(t, n) for t in texts]))
        for n in (1, 2, 3)
    }
    metrics["words_per_answer"] = _round(np.mean([len(t.split()) for ts in texts for t in ts]))
    metrics["survey_stance"] = survey_stance(sampler, surveys, options)
    metrics["topic_stance"] = topic_stance(
        [
            t
            for c, ts in zip(topics, texts[-len(topics) :], strict=True)
            if c.kind in {"topic-plan", "topic-state"}
            for t in [ts]
        ]
    )
    metrics["on_topic"] = on_topic(open_prompts, texts, kinds, options)
    metrics["memorisation"] = memorisation(
        sampler, open_prompts, kinds, read_answers(corpus, answers, epochs), options
    )
    return metrics


def _round(value: Any) -> float:
    return round(float(value), 4)


def _spread_out(surveys: Sequence[Survey], options: EvalOptions) -> list[Survey]:
    rng = random.Random(options.seed)
    return rng.sample(list(surveys), min(options.surveys, len(surveys)))


def topic_cases(corpus: Corpus, options: EvalOptions) -> list[Case]:
    """Made-up cases about held-out topics, each prompt once, without listed options."""
    rng, found = random.Random(f"{options.seed}-topics"), dict[str, Case]()
    while len(found) < options.topics:
        case = rng.choice((thing_case, plan_case, state_case, side_case))(rng, SAMPLES)
        if (
            mentions(case, corpus.held_topics)
            and "\n" not in case.prompt
            and " / " not in case.prompt
        ):
            found.setdefault(normalise(case.key), case)
        elif rng.random() < 1e-5:
            break
    return list(found.values())


def perplexities(
    sampler: Sampler, corpus: Corpus, topics: Sequence[Case], options: EvalOptions
) -> dict[str, float]:
    """Perplexity per answer token on held-out cases: over all, and by source."""
    rng = random.Random(options.seed)
    cases = [
        Case(p.prompt, p.prompt, p.answers[i : i + 6], p.source)
        for p in corpus.held_prompts
        for i in range(0, len(p.answers), 6)
    ]
    cases += [*survey_cases(rng, list(corpus.held_surveys), 5), *topics]
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups["topics" if case.kind.startswith("topic") else case.kind].append(case)
    plain = type(corpus.options)(system_share=0.0, raw_share=0.0)
    totals = {
        name: _loss(sampler, encode(group, sampler.tokenizer, plain, seed="eval"))
        for name, group in groups.items()
    }
    real = [v for k, v in totals.items() if not k.startswith(("survey", "topics"))]
    totals["all real prompts"] = (sum(a for a, _ in real), sum(n for _, n in real))
    return {name: _round(math.exp(loss / n)) for name, (loss, n) in totals.items()}


@torch.inference_mode()
def _loss(sampler: Sampler, trees: Iterable[Any], width: int = 256) -> tuple[float, int]:
    total, count = 0.0, 0
    rows = list(pack(trees, width))
    for start in tqdm(range(0, len(rows), 16), desc="perplexity", unit="batch"):
        batch = collate(
            rows[start : start + 16],
            width,
            pad=int(sampler.tokenizer.pad_token_id),
            device=sampler.device,
        )
        loss = answer_loss(sampler.model, sampler.model.model, batch)
        total, count = total + loss.item() * len(batch.target), count + len(batch.target)
    return total, count


def survey_stance(
    sampler: Sampler, surveys: Sequence[Survey], options: EvalOptions
) -> dict[str, Any]:
    """With the options listed: how many of them eight samples take, and how evenly."""
    rng = random.Random(options.seed)
    prompts = [with_options(rng, s.question, s.options) for s in surveys]
    drawn = sampler.draw(prompts, n=SAMPLES, seed=options.seed + 1)
    taken, shares, named = [], [], 0
    for survey, texts in zip(surveys, drawn, strict=True):
        picks = [measures.option_taken(t, survey.options) for t in texts]
        found = [p for p in picks if p is not None]
        named += len(found)
        taken.append(len(set(found)))
        shares.append(measures.entropy_share(found, len(survey.options)))
    return {
        "questions": len(surveys),
        "samples_naming_an_option": _round(named / (SAMPLES * len(surveys))),
        "distinct_options_of_8": _round(np.mean(taken)),
        "options_offered": _round(np.mean([len(s.options) for s in surveys])),
        "entropy_share": _round(np.mean(shares)),
        "questions_with_one_option_only": _round(np.mean([n <= 1 for n in taken])),
    }


def topic_stance(groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    """On proposals: shares of for, against and mixed, and prompts where both sides are heard."""
    labels = [[measures.stance(t) for t in texts] for texts in groups]
    counts = Counter(label for row in labels for label in row)
    n = max(sum(counts.values()), 1)
    shares = {name: _round(counts[name] / n) for name in ("for", "against", "mixed", "unclear")}
    both = [{"for", "against"} <= set(row) for row in labels]
    return {
        "prompts": len(groups),
        **shares,
        "prompts_with_both_sides": _round(np.mean(both or [False])),
    }


def embed(texts: Sequence[str], device: str) -> NDArray[np.float32]:
    """Unit vectors (N, 384) of all-MiniLM-L6-v2 from its installed wheel."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(minilm_folder()), device=device)
    vectors: NDArray[np.float32] = encoder.encode(list(texts), normalize_embeddings=True)
    return vectors


def on_topic(
    prompts: Sequence[str],
    texts: Sequence[Sequence[str]],
    kinds: Sequence[str],
    options: EvalOptions,
) -> dict[str, Any]:
    """How often a sample's own prompt is the nearest, or among the five nearest, of all."""
    true = np.repeat(np.arange(len(prompts)), SAMPLES)
    made = embed([t for ts in texts for t in ts], options.device)
    known = embed(prompts, options.device)
    shuffled = np.random.default_rng(options.seed).permutation(true)
    ranks = measures.nearest_ranks(made, known, [int(t) for t in true])
    chance = measures.nearest_ranks(made, known, [int(t) for t in shuffled])
    parts: dict[str, Any] = {"prompts": len(prompts)}
    named = np.array(kinds)[true]
    for name, chosen in (
        ("all", ranks),
        ("shuffled", chance),
        *((kind, ranks[named == kind]) for kind in dict.fromkeys(kinds)),
    ):
        parts[name] = {"top_1": _round((chosen < 1).mean()), "top_5": _round((chosen < 5).mean())}
    return parts


def read_answers(corpus: Corpus, folder: Path, epochs: int) -> set[str]:
    """Every answer trained on: from the run's log, or built again where an epoch has none."""
    found: set[str] = set()
    for epoch in range(epochs):
        if not (folder / f"epoch-{epoch:03d}.txt.gz").exists():
            found.update(a for case in epoch_cases(corpus, epoch) for a in case.answers)
    for path in sorted(folder.glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found.update(line.rstrip("\n") for line in lines)
    return found


def memorisation(
    sampler: Sampler,
    prompts: Sequence[str],
    kinds: Sequence[str],
    answers: set[str],
    options: EvalOptions,
) -> dict[str, Any]:
    """Share of fresh samples that repeat a training answer of eight words or more."""
    each = -(-options.memorisation_samples // len(prompts))
    drawn = sampler.draw(prompts, n=each, seed=options.seed + 2)
    pool = [(kind, text) for kind, texts in zip(kinds, drawn, strict=True) for text in texts]
    chosen = random.Random(options.seed).sample(pool, min(options.memorisation_samples, len(pool)))
    index = measures.AnswerIndex(answers)
    repeats = np.array([index.repeats(text) for _, text in chosen])
    named = np.array([kind for kind, _ in chosen])
    runs = [index.shares_run(text) for _, text in chosen]
    return {
        "samples": len(chosen),
        "training_answers": len(answers),
        "share_repeating_an_answer": _round(repeats.mean()),
        "on": {kind: _round(repeats[named == kind].mean()) for kind in dict.fromkeys(kinds)},
        "share_with_any_eight_words_in_a_row": _round(np.mean(runs)),
    }


def summary(metrics: Mapping[str, Any]) -> str:
    """The figures as indented lines."""
    from models.opinion_lm.release import flatten

    return "\n".join(f"{name:55} {value}" for name, value in flatten(metrics))
