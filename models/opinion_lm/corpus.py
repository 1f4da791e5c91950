"""The training corpus: cases of every kind for one epoch, and what is held out of all of them.

Owns the split and the cleaning of real answers. Everything is a function of the data folder, the
options and the epoch number; made-up cases are drawn anew for each epoch.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.opinion_lm.config import CorpusOptions
from models.opinion_lm.domains import DOMAINS, Domain
from models.opinion_lm.everyday import EVERYDAY
from models.opinion_lm.layouts import frame
from models.opinion_lm.scales import scale_case
from models.opinion_lm.statements import matter_case, pair_case, state_case
from models.opinion_lm.surveys import Survey, content_runs, load_surveys, survey_cases
from models.opinion_lm.templates import (
    Case,
    only_case,
    plan_case,
    side_case,
    statement_prompt,
    thing_case,
)

TEXT_FILE = "opinion_text.jsonl.gz"
MIN_WORDS = 4
MIN_HELD_OUT_ANSWERS = 60
_NO_CONTEXT = re.compile(
    r"^please explain|this session|one more minute|other boundaries|"
    r"^what might be the|before we go|^are there any other changes",
    re.I,
)
_TOPIC_KINDS = (
    *(thing_case, plan_case, plan_case, side_case, only_case, scale_case),
    *(state_case, state_case, pair_case, matter_case),
)


@dataclass(frozen=True, slots=True)
class RealPrompt:
    """A prompt that people answered, with their cleaned and distinct answers."""

    prompt: str
    source: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The data after the split. Held-out parts never reach `epoch_cases`."""

    prompts: tuple[RealPrompt, ...]
    surveys: tuple[Survey, ...]
    held_prompts: tuple[RealPrompt, ...]
    held_surveys: tuple[Survey, ...]
    held_topics: tuple[str, ...]
    options: CorpusOptions


def normalise(text: str) -> str:
    """Lower case, letters and digits only, one space between words."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def load_corpus(folder: Path, options: CorpusOptions) -> Corpus:
    """Read the data folder and split it; the same folder and seed give the same split."""
    real, surveys = load_real(folder / TEXT_FILE), load_surveys(folder)
    kept, held = _split_prompts(real, options)
    out = _held_keys({normalise(s.question) for s in surveys}, options, "survey")
    return Corpus(
        tuple(kept),
        tuple(s for s in surveys if normalise(s.question) not in out),
        tuple(held),
        tuple(s for s in surveys if normalise(s.question) in out),
        held_topics(options),
        options,
    )


def load_real(path: Path) -> list[RealPrompt]:
    """Group the answers by prompt; drop repeats, short ones and prompts that need a context."""
    groups: dict[str, tuple[str, str, list[str]]] = {}
    seen: set[str] = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            prompt, answer = _clean(row["prompt"]), _clean(row["response"])
            key = normalise(answer)
            if _NO_CONTEXT.search(prompt) or key in seen or len(key.split()) < MIN_WORDS:
                continue
            seen.add(key)
            source = str(row["source"]).split("/", 1)[0]
            groups.setdefault(normalise(prompt), (prompt, source, []))[2].append(answer)
    return [RealPrompt(p, s, tuple(a)) for p, s, a in groups.values()]


def _clean(text: str) -> str:
    text = text.replace("\u200b", "").replace("’", "'").replace("“", '"').replace("”", '"')
    text = re.sub(r"^branch [ab] - ", "", text.strip(), flags=re.I)
    return re.sub(r"\s+", " ", text).strip()


def _split_prompts(
    real: list[RealPrompt], options: CorpusOptions
) -> tuple[list[RealPrompt], list[RealPrompt]]:
    able = sorted(
        (p for p in real if len(p.answers) >= MIN_HELD_OUT_ANSWERS),
        key=lambda p: normalise(p.prompt),
    )
    rng = random.Random(f"{options.seed}-prompts")
    held = rng.sample(able, min(options.held_out_prompts, len(able) // 4))
    return [p for p in real if p not in held], held


def _held_keys(keys: Iterable[str], options: CorpusOptions, part: str) -> set[str]:
    ordered = sorted(keys)
    rng = random.Random(f"{options.seed}-{part}")
    return set(rng.sample(ordered, round(len(ordered) * options.held_out_share)))


def held_topics(options: CorpusOptions) -> tuple[str, ...]:
    """Own topics and proposals which no training prompt or answer may contain."""
    every = {t for d in (*DOMAINS, EVERYDAY) for t in (*d.things, *d.proposals)}
    return tuple(sorted(_held_keys(every, options, "topics")))


def epoch_cases(corpus: Corpus, epoch: int) -> list[Case]:
    """All cases of one epoch in shuffled order."""
    rng = random.Random(f"{corpus.options.seed}-epoch-{epoch}")
    cases = [*real_cases(rng, corpus), *_survey_part(rng, corpus), *_topic_part(rng, corpus)]
    rng.shuffle(cases)
    return cases


def real_cases(rng: random.Random, corpus: Corpus) -> list[Case]:
    """Every real answer once, in small groups that share one phrasing of their prompt."""
    size = corpus.options.real_answers_per_prompt
    cases = []
    for real in corpus.prompts:
        answers = rng.sample(real.answers, len(real.answers))
        for start in range(0, len(answers), size):
            text = statement_prompt(rng, real.prompt) or frame(rng, real.prompt)
            cases.append(Case(real.prompt, text, tuple(answers[start : start + size]), real.source))
    return cases


def _survey_part(rng: random.Random, corpus: Corpus) -> list[Case]:
    surveys = list(corpus.surveys)
    return [
        case for _ in range(corpus.options.survey_passes) for case in survey_cases(rng, surveys, 5)
    ]


def _topic_part(rng: random.Random, corpus: Corpus) -> list[Case]:
    cases: list[Case] = []
    borrowed = borrowed_domain(rng, corpus)
    while len(cases) < corpus.options.topic_prompts:
        domain = borrowed if rng.random() < corpus.options.borrowed_share else None
        case = rng.choice(_TOPIC_KINDS)(rng, 4, domain)
        if not mentions(case, corpus.held_topics):
            cases.append(case)
    return cases


def borrowed_domain(rng: random.Random, corpus: Corpus) -> Domain:
    """A domain whose things are word runs of the training text, rare words as often as common.

    Its topics are hardly sense, but they teach to copy any word of a prompt, piece by piece.
    """
    runs: dict[str, list[str]] = defaultdict(list)
    texts = [s.question for s in corpus.surveys]
    texts += [a for p in corpus.prompts for a in p.answers]
    for text in texts:
        for run in content_runs(text):
            for word in run:
                runs[word.lower()].append(" ".join(run))
    words = sorted(word for word, found in runs.items() if len(found) > 1 and len(word) > 2)
    things = tuple(rng.choice(runs[rng.choice(words)]) for _ in range(4000)) if words else ()
    return Domain("borrowed", things or EVERYDAY.things, (), EVERYDAY.good, EVERYDAY.bad)


def mentions(case: Case, topics: Iterable[str]) -> bool:
    """Whether the key, the prompt or an answer contains one of the topics word for word."""
    text = normalise(" | ".join((case.key, case.prompt, *case.answers)))
    return any(f" {normalise(topic)} " in f" {text} " for topic in topics)
