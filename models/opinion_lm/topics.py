"""Topics for made-up prompts: a thing or a plan of a domain, sometimes narrowed.

The words are in `domains`; how topics become prompts and answers is in `templates`.
"""

from __future__ import annotations

import random

from models.opinion_lm.domains import DOMAINS, Domain
from models.opinion_lm.everyday import ADJECTIVES, EVERYDAY
from models.opinion_lm.phrases import split

PLACES: tuple[str, ...] = split(
    """in cities | in small towns | in rural areas | in our country | in schools | near hospitals
    | in public buildings | on weekends | at night | for young people | for older people
    | for families with children | for people on low incomes | for large companies | for tourists
    | during the summer | by the year 2035 | over the next ten years | for everyone | for students
    | for first-time buyers | in public parks | in the workplace | along the coast
    | in poorer countries | at weekends | after midnight | in winter | outside the city"""
)
ACTORS: tuple[str, ...] = split(
    """the government | the city | cities | schools | parliament | the state | our country | we
    | local councils | companies | lawmakers | the mayor | politicians | employers
    | rich countries | towns | the authorities | people"""
)
VERBS: tuple[str, ...] = split(
    """ban | tax | support | limit | pay for | promote | regulate | cut back on | spend more on
    | restrict | encourage | do more about | rethink | invest in | stop funding | allow | subsidize
    | put an end to | reform | protect | close | open more | license | inspect | move | replace
    | lower | raise | reduce | increase | improve | forbid | introduce | abolish | build | share
    | check | sell | buy | use | teach | study | watch | clean | repair | publish | change | save
    | trust | punish | reward | count | test | measure | help | fear | welcome | ignore | control
    | keep | drop | follow | delay | insist on | get rid of | take care of | think more about"""
)
_EVERYDAY_SHARE = 0.3


def pick_domain(rng: random.Random) -> Domain:
    """One of the fields, or the wide everyday one, whose many nouns teach to copy a topic."""
    return EVERYDAY if rng.random() < _EVERYDAY_SHARE else rng.choice(DOMAINS)


def pick_thing(rng: random.Random, domain: Domain) -> str:
    """A thing of the domain; an everyday one often gets an adjective."""
    thing = rng.choice(domain.things)
    if domain is EVERYDAY and rng.random() < 0.5:
        return f"{rng.choice(ADJECTIVES)} {thing}"
    return thing


def pick_topic(rng: random.Random, domain: Domain) -> str:
    """A noun phrase of the domain, sometimes narrowed by a place or a group of people."""
    thing = pick_thing(rng, domain)
    return f"{thing} {rng.choice(PLACES)}" if rng.random() < 0.25 else thing


def pick_proposal(rng: random.Random, domain: Domain) -> str:
    """A verb phrase of the domain, sometimes narrowed or made up from a verb and a thing."""
    if not domain.proposals or rng.random() < 0.4:
        base = f"{rng.choice(VERBS)} {pick_thing(rng, domain)}"
    else:
        base = rng.choice(domain.proposals)
    return f"{base} {rng.choice(PLACES)}" if rng.random() < 0.15 else base
