"""How a question is laid out as a prompt: lead-ins, option lists, closing requests, system lines.

Knows nothing of topics or surveys; a question and its options come in, one prompt text goes out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from models.opinion_lm.phrases import split

_LEADS = split(
    """Question: | Survey question: | Please answer in your own words: | Tell us: | A question for
    you: | Q: | We would like your opinion. | In a sentence or two: | Here is the next question.
    | Give your honest view. | Please respond: | Poll: | Thinking about your own life, | Public
    consultation: | For a survey: | Prompt:"""
)
_ASKS = split(
    """Answer in one or two sentences. | Please explain your answer. | Why? | Why or why not? |
    Give a short answer. | What is your view, and why? | Say it in your own words. | Answer in
    the first person. | Please give your reason. | Reply briefly. | Your answer? | Tell us what
    you really think. | Keep it short. | Please be honest. | Explain briefly."""
)
_PEOPLE = split(
    """a member of the public | a voter | an ordinary citizen | a retired person | a student | a
    young adult | a parent | a worker | a person from a small town | a city resident | a person
    with conservative views | a person with liberal views | a moderate voter | an older woman |
    a young man | a farmer | a teacher | a nurse | someone with a low income | someone with a
    university degree | a religious person | someone from Europe | someone from Africa | someone
    from Asia | a person from South America | a taxpayer"""
)
_SYSTEMS = split(
    """You answer as {who}. | You are {who}. Answer in the first person. | Answer the question as
    {who} would. | You are {who} taking part in a survey. | Speak as {who}. Give your own
    opinion in one or two sentences. | You are a helpful assistant. | You are a survey
    respondent. | Respond with a short personal opinion. | Answer honestly and briefly. |
    Imagine you are {who}. | The following person is {who}. Write what they would say. | Group:
    {who}. Answer for this group."""
)
_LIST_HEADS = ("Options:", "Choices:", "Choose one:", "Possible answers:", "Answers:", "")
_BULLETS = ("- ", "* ", "• ", "o ")


def system_line(rng: random.Random) -> str:
    """One of many short system messages; most name a kind of person."""
    return rng.choice(_SYSTEMS).format(who=rng.choice(_PEOPLE))


def frame(rng: random.Random, question: str) -> str:
    """Put a lead-in before and a request after the question, each only now and then."""
    text = question.strip()
    if rng.random() < 0.15:
        text = f"{rng.choice(_LEADS)} {text}"
    if rng.random() < 0.15:
        text = f"{text}{chr(10) if chr(10) in text else ' '}{rng.choice(_ASKS)}"
    return text


def with_options(rng: random.Random, question: str, options: Sequence[str]) -> str:
    """Write the options behind the question in one of the usual layouts."""
    text = question.strip()
    kind = rng.randrange(7)
    if kind <= 1:
        bullet = rng.choice(_BULLETS)
        head = rng.choice(_LIST_HEADS)
        lines = [head] if head else []
        return "\n".join([text, *lines, *(bullet + option for option in options)])
    if kind == 2:
        marks = rng.choice((("A", "B", "C", "D", "E", "F", "G", "H"), tuple("12345678")))
        stop = rng.choice((". ", ") "))
        rows = (mark + stop + option for mark, option in zip(marks, options, strict=False))
        return "\n".join([text, *rows])
    if kind == 3:
        return f"{text} ({rng.choice((' / ', ', ', '; ')).join(options)})"
    if kind == 4:
        return f"{text} {' / '.join(options)}"
    if kind == 5:
        head = rng.choice(_LIST_HEADS[:-1])
        listed = rng.choice((", ", " | ", "; ", " / ")).join(options)
        return f"{text}{rng.choice((chr(10), ' '))}{head} {listed}"
    return f"{text} {', '.join(options[:-1])} or {options[-1]}?"
