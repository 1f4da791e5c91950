"""Prompts and first-person answers about the topics of `topics`, for, against or in between.

Every answer names its topic or its option; the parts are drawn independently, so that very few
answers ever occur twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.opinion_lm import phrases
from models.opinion_lm.domains import Domain
from models.opinion_lm.layouts import frame, with_options
from models.opinion_lm.phrases import split
from models.opinion_lm.topics import ACTORS, PLACES, pick_domain, pick_proposal, pick_topic

FOR, AGAINST, MIXED = "for", "against", "mixed"

_CLAIMS_THING = {
    FOR: phrases.CLAIMS_THING_FOR,
    AGAINST: phrases.CLAIMS_THING_AGAINST,
    MIXED: phrases.CLAIMS_THING_MIXED,
}
_CLAIMS_PLAN = {
    FOR: phrases.CLAIMS_PLAN_FOR,
    AGAINST: phrases.CLAIMS_PLAN_AGAINST,
    MIXED: phrases.CLAIMS_PLAN_MIXED,
}
_OPENERS = {
    FOR: phrases.OPENERS_FOR,
    AGAINST: phrases.OPENERS_AGAINST,
    MIXED: phrases.OPENERS_MIXED,
}
_YES_NO = (
    ("Yes", "No"),
    ("Yes", "No", "Not sure"),
    ("Agree", "Disagree"),
    ("For", "Against", "Undecided"),
)
_DOUBLING = frozenset(
    split(
        "cut | put | set | let | stop | run | ban | plan | get | begin | forbid | cap | shut | drop"
    )
)


@dataclass(frozen=True, slots=True)
class Case:
    """One made-up prompt with its answers, and the key by which it may be held out."""

    key: str
    prompt: str
    answers: tuple[str, ...]
    kind: str


def upper_first(text: str) -> str:
    """The text with its first letter in capitals."""
    return text[:1].upper() + text[1:]


def gerund(plan: str) -> str:
    """Turn a verb phrase into its -ing form: "ban zoos" becomes "banning zoos"."""
    verb, _, rest = plan.partition(" ")
    if verb in _DOUBLING:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return f"{verb}ing {rest}".strip()


def _fill(pattern: str, topic: str, actor: str = "") -> str:
    going = gerund(topic)
    return pattern.format(
        t=topic,
        T=upper_first(topic),
        p=topic,
        g=going,
        G=upper_first(going),
        a=actor,
        A=upper_first(actor),
    )


def _say(pattern: str, reason: str) -> str:
    """Fill a reason in and put a space before a pattern that opens with a word."""
    text = pattern.format(r=reason, R=upper_first(reason))
    return f" {text}" if text[0].isalpha() else text


def reasons_for(rng: random.Random, domain: Domain, stance: str) -> str:
    """One or two reasons of the domain that fit the stance, ready to follow a claim."""
    good, bad = rng.sample(domain.good, 2), rng.sample(domain.bad, 2)
    if stance == MIXED:
        first, second = (good[0], bad[0]) if rng.random() < 0.5 else (bad[0], good[0])
        return _say(rng.choice(phrases.LINKS), first) + _say(rng.choice(phrases.BUT), second)
    chosen, other = (good, bad) if stance == FOR else (bad, good)
    text = _say(rng.choice(phrases.LINKS), chosen[0])
    if rng.random() < 0.25:
        text += _say(rng.choice(phrases.TWO), chosen[1])
    elif rng.random() < 0.12:
        text += _say(rng.choice(phrases.BUT), other[0])
    return text


def stance_answer(rng: random.Random, domain: Domain, claim: str, stance: str) -> str:
    """Join an opener, a claim that names the topic, reasons and a closing line, most optional."""
    text = claim
    if rng.random() < 0.35 and not claim.startswith(("Yes", "No", "Maybe")):
        opener = rng.choice(_OPENERS[stance])
        text = f"{opener} {text}" if opener.endswith(".") else f"{opener} {lower_first(text)}"
    if rng.random() < 0.85:
        text += reasons_for(rng, domain, stance)
    text = text.rstrip(".") + "."
    if rng.random() < 0.12:
        text += " " + rng.choice(phrases.TAILS)
    return upper_first(text)


def lower_first(text: str) -> str:
    """The text with its first letter small, unless it opens with "I" or an abbreviation."""
    first = text.split(" ", 1)[0]
    keep = first.split("'")[0] == "I" or (len(first) > 1 and first[1].isupper())
    return text if keep else text[:1].lower() + text[1:]


def stances(rng: random.Random, n: int) -> list[str]:
    """`n` stances, for and against alike and mixed half as often."""
    return rng.choices((FOR, AGAINST, MIXED), weights=(4, 4, 2), k=n)


def thing_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """An open question about a thing, with `n` answers of different stance."""
    domain = domain or pick_domain(rng)
    topic = pick_topic(rng, domain)
    answers = tuple(
        stance_answer(rng, domain, _fill(rng.choice(_CLAIMS_THING[s]), topic), s)
        for s in stances(rng, n)
    )
    prompt = frame(rng, _fill(rng.choice(phrases.ABOUT), topic))
    return Case(topic, prompt, answers, "topic-open")


def _plan_answer(rng: random.Random, domain: Domain, plan: str, actor: str, stance: str) -> str:
    claim = _fill(rng.choice(_CLAIMS_PLAN[stance]), plan, actor)
    return stance_answer(rng, domain, claim, stance)


def plan_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """A question whether somebody should do something, with yes, no and partly."""
    domain = domain or pick_domain(rng)
    plan, actor = pick_proposal(rng, domain), rng.choice(ACTORS)
    prompt = _fill(rng.choice(phrases.SHOULD), plan, actor)
    answers = tuple(_plan_answer(rng, domain, plan, actor, s) for s in stances(rng, n))
    if rng.random() < 0.3:
        prompt = with_options(rng, prompt, rng.choice(_YES_NO))
    return Case(plan, frame(rng, prompt), answers, "topic-plan")


def side_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """A question for benefits only or for risks only."""
    domain = domain or pick_domain(rng)
    plan, pro = rng.random() < 0.5, rng.random() < 0.5
    topic = pick_proposal(rng, domain) if plan else pick_topic(rng, domain)
    shown = gerund(topic) if plan else topic
    answers = []
    for _ in range(n):
        reason, more = rng.sample(domain.good if pro else domain.bad, 2)
        text = rng.choice(phrases.PRO_ANSWERS if pro else phrases.CON_ANSWERS).format(
            t=shown, T=upper_first(shown), r=reason, R=upper_first(reason)
        )
        text += _say(rng.choice(phrases.TWO), more) if rng.random() < 0.35 else ""
        answers.append(upper_first(text) + ".")
    prompt = frame(rng, rng.choice(phrases.PROS if pro else phrases.CONS).format(t=shown))
    return Case(topic, prompt, tuple(answers), "topic-side")


def only_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """A yes-or-no question with further, conditional options that have to be copied."""
    domain = domain or pick_domain(rng)
    plan, actor = pick_proposal(rng, domain), rng.choice(ACTORS)
    limits = rng.sample(PLACES, rng.choice((1, 1, 2)))
    options = ["Yes", "No", *(rng.choice(phrases.LIMITS).format(x=x) for x in limits)]
    prompt = with_options(rng, _fill(rng.choice(phrases.SHOULD[:5]), plan, actor), options)
    plain = {"Yes": FOR, "No": AGAINST}
    answers = []
    for option in rng.choices(options, k=n):
        if option in plain:
            answers.append(_plan_answer(rng, domain, plan, actor, plain[option]))
            continue
        claim = rng.choice(phrases.LIMIT_ANSWERS).format(
            o=option,
            l=lower_first(option),
            p=plan,
            a=actor,
            g=gerund(plan),
            G=upper_first(gerund(plan)),
        )
        answers.append(claim + reasons_for(rng, domain, MIXED) + ".")
    return Case(plan, frame(rng, prompt), tuple(answers), "topic-only")


def statement_prompt(rng: random.Random, prompt: str) -> str:
    """Ask a "... on this topic: We should ..." prompt in another way; "" for other prompts."""
    head, _, statement = prompt.partition(" topic: ")
    if not statement or rng.random() < 0.25:
        return ""
    statement = statement.rstrip("?. ")
    lead, _, plan = statement.partition(" should ")
    if lead == "We":
        return frame(rng, _fill(rng.choice(phrases.SHOULD), plan, "we"))
    pattern = rng.choice(phrases.STATEMENTS)
    return frame(
        rng,
        pattern.format(s=statement, l=lower_first(statement), h=head, a=lower_first(lead), p=plan),
    )
