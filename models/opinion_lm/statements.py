"""Made-up cases about whole statements: should X be Y, which of two views, what matters about X.

Built from the same topics and reasons as `templates`, in the forms that surveys like to use.
"""

from __future__ import annotations

import random

from models.opinion_lm import phrases
from models.opinion_lm.domains import Domain
from models.opinion_lm.layouts import frame, with_options
from models.opinion_lm.templates import (
    AGAINST,
    FOR,
    MIXED,
    Case,
    lower_first,
    reasons_for,
    stance_answer,
    stances,
    upper_first,
)
from models.opinion_lm.topics import VERBS, pick_domain, pick_thing, pick_topic

_CLAIMS = {
    FOR: phrases.STATE_FOR,
    AGAINST: phrases.STATE_AGAINST,
    MIXED: phrases.STATE_MIXED,
}
_ENDS = (("Yes", "No"), ("Yes", "No", "Don't know"), ("Agree", "Disagree"), ("Yes", "No", "Partly"))


def state_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """Whether a thing should be in some state, with yes, no and partly."""
    domain = domain or pick_domain(rng)
    topic, state = pick_topic(rng, domain), rng.choice(phrases.STATES)
    words = {"t": topic, "T": upper_first(topic), "x": state}
    prompt = rng.choice(phrases.STATE_QUESTIONS).format(**words)
    if rng.random() < 0.4:
        prompt = with_options(rng, prompt, rng.choice(_ENDS))
    answers = tuple(
        stance_answer(rng, domain, rng.choice(_CLAIMS[s]).format(**words), s)
        for s in stances(rng, n)
    )
    return Case(topic, frame(rng, prompt), answers, "topic-state")


def _statement(rng: random.Random, domain: Domain) -> str:
    thing = pick_thing(rng, domain)
    if rng.random() < 0.4:
        return f"{upper_first(thing)} should be {rng.choice(phrases.STATES)}"
    who = rng.choice(phrases.WHO)
    return f"{who} {rng.choice(phrases.DUTIES)} {rng.choice(VERBS)} {thing}"


def pair_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """Which of two or three statements is nearer; the answers give one of them back."""
    domain = domain or pick_domain(rng)
    options = [_statement(rng, domain) for _ in range(rng.choice((2, 2, 2, 3)))]
    prompt = with_options(rng, rng.choice(phrases.PAIR_QUESTIONS), options)
    answers = []
    for option in rng.choices(options, k=n):
        text = rng.choice(phrases.PAIR_ANSWERS).format(o=option, l=lower_first(option))
        text += reasons_for(rng, domain, FOR) if rng.random() < 0.6 else ""
        answers.append(upper_first(text) + ".")
    return Case(" | ".join(options), frame(rng, prompt), tuple(answers), "topic-pair")


def matter_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """An open question what matters about a thing, sometimes besides another thing."""
    domain = domain or pick_domain(rng)
    topic, other = pick_topic(rng, domain), pick_thing(rng, domain)
    prompt = rng.choice(phrases.MATTER_QUESTIONS).format(t=topic, o=other, T=upper_first(topic))
    answers = []
    for _ in range(n):
        reason = rng.choice(domain.good + domain.bad)
        text = rng.choice(phrases.MATTER_ANSWERS).format(
            t=topic, T=upper_first(topic), r=reason, R=upper_first(reason)
        )
        answers.append(upper_first(text) + ".")
    return Case(f"{topic} | {other}", frame(rng, prompt), tuple(answers), "topic-matter")
