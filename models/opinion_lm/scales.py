"""Answer scales: for each option of a survey scale, first-person sentences that take it.

`option_claim` turns any option, known or not, into a sentence about a span of words. The sentences
avoid verbs that would have to agree with the span in number.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

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
    upper_first,
)
from models.opinion_lm.topics import pick_domain, pick_topic


@dataclass(frozen=True, slots=True)
class Scale:
    """Questions about {t} that share one list of options, each option with its leaning."""

    questions: tuple[str, ...]
    options: tuple[tuple[str, str], ...]


def _scale(questions: str, options: str) -> Scale:
    pairs = (" ".join(part.split()).rsplit(" ", 1) for part in options.split(";"))
    lean = {"+": FOR, "-": AGAINST, "=": MIXED}
    return Scale(
        tuple(" ".join(q.split()) + "?" for q in questions.split("?") if q.strip()),
        tuple((option, lean[sign]) for option, sign in pairs),
    )


SCALES: tuple[Scale, ...] = (
    _scale(
        """How important to you is the issue of {t}? How important, if at all, are decisions about
        {t} to you? When you vote, how important is the subject of {t}?""",
        "Very important +; Somewhat important +; Not too important -; Not important at all -",
    ),
    _scale(
        """How worried are you about {t}? How concerned, if at all, are you about {t}? Do you worry
        about {t}?""",
        "Very worried -; Somewhat worried -; Not too worried +; Not worried at all +",
    ),
    _scale(
        """Do you favor or oppose more {t}? Would you favor or oppose new rules on {t}? What is
        your position on {t}?""",
        "Strongly favor +; Favor +; Oppose -; Strongly oppose -",
    ),
    _scale(
        """How much of a problem do you see in {t}? Where you live, how much of a problem is the
        subject of {t}?""",
        """Not a problem at all +; A small problem =; A moderate problem -;
        A very big problem -""",
    ),
    _scale(
        "Do you have a favorable or unfavorable view of {t}? What is your overall view of {t}?",
        "Very favorable +; Mostly favorable +; Mostly unfavorable -; Very unfavorable -",
    ),
    _scale(
        """How much do you trust what you hear about {t}? How much confidence do you have in the
        people who manage {t}?""",
        "A great deal +; A fair amount +; Not too much -; None at all -",
    ),
    _scale(
        """In ten years, will the situation with {t} be better or worse? Over time, do you expect
        {t} to get better or worse?""",
        "Better +; About the same =; Worse -",
    ),
    _scale(
        """When it comes to {t}, is our country doing a good or a bad job? How would you rate the
        handling of {t}?""",
        "Very good +; Somewhat good +; Somewhat bad -; Very bad -",
    ),
    _scale(
        """Should the government spend more or less on {t}? What should happen to public spending
        on {t}?""",
        "Spend more +; Keep it as it is =; Spend less -",
    ),
    _scale(
        """Do you agree that more attention should go to {t}? Do you agree or disagree that we all
        profit from {t}?""",
        """Strongly agree +; Agree +; Neither agree nor disagree =; Disagree -;
        Strongly disagree -""",
    ),
    _scale(
        """Overall, is the effect of {t} on society positive or negative? What is the impact of
        {t}?""",
        "Mostly positive +; Mostly negative -; Neither positive nor negative =",
    ),
    _scale(
        "How often do you think or talk about {t}? How often do you come across {t}?",
        "Very often =; Sometimes =; Rarely =; Never =",
    ),
    _scale(
        "How satisfied are you with {t}? Are you satisfied or dissatisfied with {t}?",
        "Very satisfied +; Fairly satisfied +; Not very satisfied -; Not satisfied at all -",
    ),
    _scale(
        """How likely is it that {t} will change a lot in the next years? Do you expect changes in
        {t}?""",
        "Very likely =; Somewhat likely =; Not very likely =; Not likely at all =",
    ),
    _scale(
        """Should the rules on {t} be stricter or looser? Are there too many or too few rules on
        {t}?""",
        "Much stricter =; A little stricter =; Leave them as they are =; Looser =",
    ),
    _scale(
        "Is the government doing enough about {t}? Do politicians care about {t}?",
        "Yes, definitely +; Yes, somewhat +; No, not really -; No, not at all -",
    ),
    _scale(
        "How well informed do you feel about {t}? How much do you know about {t}?",
        "A lot =; A little =; Nothing at all =",
    ),
    _scale(
        "Which level of government should decide about {t}? Who should decide about {t}?",
        "The national government =; Local government =; The people themselves =; Experts =",
    ),
    _scale(
        "Should {t} be a top priority? What priority should {t} have?",
        """Top priority +; Important but lower priority =; Not too important -;
        Should not be done -""",
    ),
    _scale("Do you approve or disapprove of {t}? Are you for {t}?", "Approve +; Disapprove -"),
)

_LEVEL = {
    "important": (
        "I find {t} {l}",
        "For me {t} would be {l}",
        "I consider {t} {l} in my daily life",
        "To me, {t} could be called {l}",
    ),
    "worried": ("I am {l} about {t}", "I feel {l} about {t}", "I would say I am {l} about {t}"),
    "concerned": ("I am {l} about {t}", "I feel {l} about {t}"),
    "confident": ("I am {l} about {t}", "I feel {l} when I think of {t}"),
    "satisfied": ("I am {l} with {t}", "I feel {l} with {t}", "{O}, that is how I feel about {t}"),
    "comfortable": ("I am {l} with {t}", "I feel {l} when it comes to {t}"),
    "favorable": ("I have a {l} view of {t}", "My view of {t} tends to be {l}"),
    "problem": (
        "I see {t} as {l}",
        "I would call {t} {l}",
        "In my eyes {t} can be described as {l}",
    ),
    "threat": ("I see {t} as a matter of {l}", "I would call {t} {l}"),
    "agree": (
        "I {l} with what is said about {t}",
        "I {l} on {t}",
        "I {l} when people say this about {t}",
    ),
    "favor": ("I {l} this when it comes to {t}", "I {l} {t}", "Speaking for myself, I {l} {t}"),
    "oppose": ("I {l} {t}", "I {l} this when it comes to {t}", "Speaking for myself, I {l} {t}"),
    "approve": ("I {l} of {t}", "I {l} of how {t} has been handled"),
    "support": ("I {l} {t}", "In general I {l} {t}"),
    "likely": ("I think it is {l} with {t}", "A change in {t} seems {l} to me"),
    "priority": ("I see {t} as {l}", "I would make {t} {l}"),
    "good": ("{O} is how I would rate {t}", "I would call it {l} as regards {t}"),
    "bad": ("{O} is how I would rate {t}", "I would call it {l} as regards {t}"),
    "better": ("I expect {t} to be {l}", "I think things with {t} will be {l}"),
    "worse": ("I expect {t} to be {l}", "I think things with {t} will be {l}"),
}


def option_claim(rng: random.Random, option: str, span: str) -> str:
    """A first-person sentence without full stop that takes `option` on the subject `span`."""
    low = lower_first(option)
    words = set(low.replace(",", " ").split())
    known = [
        claims
        for word, claims in _LEVEL.items()
        if word in words or f"dis{word}" in words or f"un{word}" in words
    ]
    if known and len(words) <= 5 and "not a" not in low and rng.random() < 0.6:
        pattern = rng.choice(rng.choice(known))
    elif len(words) > 5:
        pattern = rng.choice(phrases.OPTION_LONG)
    else:
        pattern = rng.choice(phrases.OPTION_ANY)
    return pattern.format(l=low, O=upper_first(option), t=span, T=upper_first(span))


def scale_case(rng: random.Random, n: int, domain: Domain | None = None) -> Case:
    """A question with the options of one scale, mostly listed, sometimes not."""
    domain = domain or pick_domain(rng)
    topic = pick_topic(rng, domain)
    scale = rng.choice(SCALES)
    options = list(scale.options)
    if rng.random() < 0.5:
        rng.shuffle(options)
    options = options[: max(2, rng.choice((len(options), len(options), len(options) - 1)))]
    question = rng.choice(scale.questions).format(t=topic)
    prompt = (
        with_options(rng, question, [o for o, _ in options]) if rng.random() < 0.8 else question
    )
    answers = []
    for _ in range(n):
        option, lean = rng.choice(options)
        text = option_claim(rng, option, topic)
        if rng.random() < 0.7:
            text += reasons_for(rng, domain, lean)
        answers.append(upper_first(text).rstrip(".") + ".")
    return Case(topic, frame(rng, prompt), tuple(answers), "topic-scale")
