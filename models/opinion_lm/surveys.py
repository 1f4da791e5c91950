"""Survey questions as prompts, and first-person answers that take one of their options.

Knows the two survey files by their fields (question, options, groups); where they lie is the
caller's business. Shares are tempered towards uniform, so that every stance is heard.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.opinion_lm import phrases
from models.opinion_lm.layouts import frame, with_options
from models.opinion_lm.scales import option_claim
from models.opinion_lm.templates import Case, lower_first, upper_first

FILES = ("us_survey.jsonl", "world_survey.jsonl")
TEMPER = 0.5
"""Power to which mean shares are raised before an option is drawn."""

_NO_ANSWER = re.compile(
    r"dk|refused|don.?t know|no answer|missing|not available|not applicable|\bna\b|not asked|"
    r"can.?t choose|inappropriate|\(vol|volunteered",
    re.IGNORECASE,
)
_BLANK = re.compile(r"_{2,}")
_ITEM = re.compile(r"(?:\?|\.|:|…|\.\.\.|\s)\s*[a-z]{1,2}\.\s+(?P<item>.+)$")
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|…)\s*(?P<item>[^.…?]+[?.]?)\s*$")
_COLON = re.compile(r"[:?]\s+(?P<item>[A-Za-z][^:?]{6,})$")
_LAST = re.compile(
    r"(?:following|each|list|statement|number of|card|these|some).*[.?]\s+"
    r"(?P<item>[A-Z][^.?:]{3,80})$"
)
_CLAUSE = re.compile(
    r"\b[Dd]o you (?:personally )?(?:think|believe|feel) (?:that )?(?P<clause>[^?,]{12,110})\?"
)
_BREAK = frozenset(
    """you your would think do does did is are was were be been being have has had how what which
    who whom whose why when where whether if please tell me say following each thinking now i
    i'd i'm like as it this that these those there here they them their or any one some much
    many more less most very somewhat not too at all will can could should may might must us we
    our consider statement comes closer view views describe best describes opinion believe feel
    believed seem come made make getting get go going read list here's case use used from ask
    asked questions question generally general overall still also just far than then so no yes
    don't doesn't isn't indicate up out apart having able largely own good bad better worse job
    right amount satisfied same dissatisfied important number different possible several
    statements apply doing want wants rate favorable unfavorable agree disagree approve
    disapprove favor oppose support completely mostly associate recommend until under including
    because expect goes happens affect particularly strongly choose even exactly neither nor
    both either great deal little enough every order""".split()  # noqa: SIM905
)
_LINK = frozenset("of the in to for and on with a an by between about".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Survey:
    """One cleaned survey question: options without refusals and their mean shares."""

    question: str
    stem: str
    span: str
    options: tuple[str, ...]
    shares: tuple[float, ...]
    source: str


def load_surveys(folder: Path) -> list[Survey]:
    """Read and clean both survey files; questions that cannot be read alone are left out."""
    found: dict[str, Survey] = {}
    for name in FILES:
        with (folder / name).open(encoding="utf-8") as lines:
            for line in lines:
                survey = clean_survey(json.loads(line), name.split("_", 1)[0])
                if survey is not None:
                    found.setdefault(survey.question.lower() + survey.options[0], survey)
    return list(found.values())


def clean_survey(row: dict[str, Any], source: str) -> Survey | None:
    """Tidy one row, or return None if fewer than two usable options or no span remain."""
    shares = _mean_shares(row)
    keep = [
        (str(o).strip(), p)
        for o, p in zip(row["options"], shares, strict=True)
        if not _NO_ANSWER.search(str(o)) and re.search(r"[A-Za-z]{2}", str(o))
    ]
    asked = str(row["question"]).replace("U.S.", "US").replace("’", "'")
    stem, item = split_item(asked)
    question = _BLANK.sub(item, stem) if item and _BLANK.search(stem) else asked
    question = re.sub(
        r"\s+", " ", _BLANK.sub("this", question).replace("(survey country)", "our country")
    )
    span = _tidy_item(item) if item else ""
    if not 1 < len(span.split()) + len(span) // 5 < 14:
        listed = " ".join(o for o, _ in keep)
        span = content_span(stem, avoid=listed) or content_span(stem) or content_span(listed)
    if not 2 <= len(keep) <= 8 or not span or len(question) > 420:
        return None
    total = sum(p for _, p in keep) or 1.0
    return Survey(
        question.strip(),
        stem,
        span,
        tuple(o for o, _ in keep),
        tuple(p / total for _, p in keep),
        source,
    )


def _mean_shares(row: dict[str, Any]) -> list[float]:
    groups = [group["p"] for group in row["groups"].values()]
    return [sum(g[i] for g in groups) / max(len(groups), 1) for i in range(len(row["options"]))]


def split_item(question: str) -> tuple[str, str]:
    """Split "How do you see ____? b. Peru" into its stem and its item ("" if there is none)."""
    for pattern in (_ITEM, _ELLIPSIS, _COLON, _LAST):
        match = pattern.search(question)
        if match and len(match["item"].strip(" ?.")) > 2:
            return question[: match.start()].strip(), match["item"].strip(" ?.")
    return question, ""


def _tidy_item(item: str) -> str:
    words = re.sub(r"\s+", " ", item).strip(" .?:;,").split(" ")
    proper = len(words) == 1 or words[1][:1].isupper() or words[0].endswith(("ian", "ese", "ish"))
    return " ".join(words) if proper else lower_first(" ".join(words))


def content_span(text: str, *, avoid: str = "") -> str:
    """The longest run of words, at most seven, without question words or words of `avoid`."""
    best: list[str] = []
    bar = _BREAK | (set(avoid.lower().replace(",", " ").split()) - _LINK)
    for piece in re.split(r"[,.;:?!()\"“”]|\.\.\.|…", text):
        run: list[str] = []
        for word in [*piece.split(), "you"]:
            low = word.lower().strip("'’")
            if low not in bar and not _BLANK.search(word):
                run.append(word)
                continue
            run = _trim(run)
            if len(run) >= len(best):
                best = run[:7]
            run = []
    return " ".join(_trim(best))


def content_runs(text: str, *, longest: int = 4) -> list[list[str]]:
    """Runs of one to `longest` plain words without question words and loose link words."""
    found: list[list[str]] = []
    for piece in re.split(r"[^A-Za-z' -]", text):
        run: list[str] = []
        for word in [*piece.split(), "you"]:
            if word.lower() not in _BREAK and word.isalpha() and len(run) < longest:
                run.append(word)
                continue
            trimmed = _trim(run)
            if trimmed and trimmed[0].lower() not in _LINK:
                found.append([w if w.isupper() else w.lower() for w in trimmed])
            run = []
    return found


def _trim(run: list[str]) -> list[str]:
    while run and run[0].lower() in _LINK - {"the", "a", "an"}:
        run = run[1:]
    while run and run[-1].lower() in _LINK:
        run = run[:-1]
    return run


def _echo(rng: random.Random, survey: Survey, option: str) -> str:
    """Give the clause of a yes-or-no question back, or "" where there is none."""
    match = _CLAUSE.search(survey.question)
    sign = re.match(r"(yes|no)\b", option.lower())
    if match is None or sign is None or rng.random() < 0.4:
        return ""
    verb = "think" if sign[1] == "yes" else "do not think"
    lead = rng.choice((f"{option}. I ", f"{upper_first(sign[1])}, I ", "I ", f"{option}, I "))
    return f"{lead}{verb} {match['clause']}"


def _answer(rng: random.Random, survey: Survey, option: str) -> str:
    span = survey.span
    words = span.split()
    if len(words) > 5 and rng.random() < 0.3:
        span = content_span(span) or span
    text = upper_first(_echo(rng, survey, option) or option_claim(rng, option, span)).rstrip(".")
    draw = rng.random()
    if draw < 0.35:
        text += rng.choice(
            (" because ", ", because ", ", since ", " as ", ": ", "; ")
        ) + rng.choice(phrases.SURVEY_BECAUSE)
    elif draw < 0.6:
        text += ". " + rng.choice(phrases.SURVEY_TAILS)
    return text + "."


def survey_case(rng: random.Random, survey: Survey, n: int) -> Case:
    """One layout of a question with `n` answers, options drawn from the tempered shares."""
    weights = [max(p, 0.02) ** TEMPER for p in survey.shares]
    answers = tuple(_answer(rng, survey, o) for o in rng.choices(survey.options, weights, k=n))
    options = list(survey.options)
    if rng.random() < 0.4:
        rng.shuffle(options)
    prompt = with_options(rng, survey.question, options) if rng.random() < 0.75 else survey.question
    return Case(survey.question, frame(rng, prompt), answers, f"survey-{survey.source}")


def survey_cases(rng: random.Random, surveys: list[Survey], n: int) -> Iterator[Case]:
    """One case for every survey question, in the order given."""
    for survey in surveys:
        yield survey_case(rng, survey, n)
