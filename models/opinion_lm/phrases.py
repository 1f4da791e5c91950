"""Word banks of the made-up prompts and answers, written for this project.

Owns phrases only; `templates`, `scales` and `surveys` put them together. In a pattern {t} is a
thing, {p} a plan (verb phrase), {g} its -ing form, {a} who acts, {r} a reason, {l} and {o} an
option; a capital letter asks for the same with its first letter in capitals.
"""

from __future__ import annotations


def split(text: str) -> tuple[str, ...]:
    """Phrases parted by "|", each with single spaces."""
    return tuple(" ".join(part.split()) for part in text.split("|") if part.strip())


ABOUT = split(
    """What do you think about {t}? | What is your opinion on {t}? | How do you feel about {t}? |
    Are you for or against {t}? | What is your view of {t}? | Do you support or oppose {t}? |
    Tell us your opinion about {t}. | {T}: good or bad? | Is there more good than harm in {t}? |
    Is there a case for {t}? | What comes to mind when you think of {t}? | {T}: what is your
    view? | Do we need {t}? | What are your thoughts on {t}? | Should we worry about {t}? | How
    would you describe your attitude to {t}? | Do you like the idea of {t}? | What should be
    done about {t}? | Share your experience with {t}. | Your opinion on {t}? | Do you agree with
    people who want more {t}? | Opinion on {t} | {T}?"""
)
"""Questions about a thing."""

SHOULD = split(
    """Should {a} {p}? | Do you think {a} should {p}? | Would it be a good idea to {p}? | Do you
    support the plan to {p}? | {A} should {p}. Do you agree or disagree? | What is your opinion
    on this topic: {A} should {p}? | What do you think of the proposal to {p}? | Some people
    want to {p}. What about you? | Is it right to {p}? | What do you think about {g}? | Are you
    for or against {g}? | How do you feel about {g}? | Would you vote to {p}? | Imagine {a}
    decided to {p}. How would you react? | What is your view on {g}? | Is {g} a good idea? |
    There is a debate about {g}. Where do you stand? | {A} should {p}. | To what extent do you
    agree that {a} should {p}? | Would you favour or oppose {g}? | What would happen if {a} were
    to {p}? | Why should or shouldn't {a} {p}?"""
)
"""Questions about a plan."""

PROS = split(
    """What is the biggest benefit of {t}? | What is good about {t}? | Why do people support {t}? |
    What advantages do you see in {t}? | What is the best argument for {t}? | What would be
    gained by {t}? | What hopes do you have for {t}?"""
)
"""Questions for benefits."""

CONS = split(
    """What is the biggest risk of {t}? | What worries you about {t}? | Why do people oppose {t}? |
    What problems do you see with {t}? | What is the best argument against {t}? | What would be
    lost by {t}? | What concerns do you have about {t}?"""
)
"""Questions for risks."""

CLAIMS_THING_FOR = split(
    """I am in favour of {t} | I support {t} | I think well of {t} | I like the idea of {t} | We
    need {t} | I am all for {t} | To me {t} would make sense | I see {t} as a good thing | In my
    opinion we should support {t} more | I have a positive view of {t} | I believe in {t} | My
    experience with {t} has been good | I would welcome {t}"""
)

CLAIMS_THING_AGAINST = split(
    """I am against {t} | I do not support {t} | I have doubts about {t} | I am not a fan of {t} |
    Too much harm comes from {t} | I see {t} as a problem | I would rather do without {t} | In
    my view {t} can only cause trouble | I am worried about {t} | I oppose {t} | I have a low
    opinion of {t} | My experience with {t} has been bad | There is too much talk about {t}"""
)

CLAIMS_THING_MIXED = split(
    """I have mixed feelings about {t} | I am not sure about {t} | There are two sides to {t} | I
    can see both sides of {t} | It depends on the details of {t} | I am torn when it comes to
    {t} | I am undecided about {t} | {T} can be good or bad | I would accept {t} with clear
    limits"""
)

CLAIMS_PLAN_FOR = split(
    """{A} should {p} | I agree that {a} should {p} | I would vote to {p} | I support {g} | {G} is
    a good idea | {G} would be a step forward | I think it is right to {p} | It is time to {p} |
    I am in favour of {g} | Yes, {a} should {p} | I would {p} tomorrow | I fully support the
    plan to {p} | {G} makes sense to me"""
)

CLAIMS_PLAN_AGAINST = split(
    """{A} should not {p} | I disagree that {a} should {p} | I would vote against {g} | I oppose
    {g} | {G} is a bad idea | {G} would go too far | It would be wrong to {p} | I do not think
    {a} should {p} | No, {a} should not {p} | I am against {g} | There is no need to {p} | {G}
    would be a mistake | I cannot support the plan to {p}"""
)

CLAIMS_PLAN_MIXED = split(
    """I have mixed feelings about {g} | I am not sure that {a} should {p} | {G} could work, but
    only with care | I can see both sides of {g} | It depends on how {a} would {p} | I would {p}
    only in some cases | Maybe {a} should {p}, but slowly | {G} sounds fine in theory | I am
    torn about {g}"""
)

OPENERS_FOR = split(
    """Yes. | Absolutely. | Of course. | Definitely. | I agree. | Yes, I do. | Good idea. |
    Honestly, | In my opinion, | Personally, | For me, | I think so."""
)

OPENERS_AGAINST = split(
    """No. | Not at all. | Definitely not. | I disagree. | No, I don't. | Never. | Honestly, | In
    my opinion, | Personally, | For me, | I don't think so."""
)

OPENERS_MIXED = split(
    """It depends. | Hard to say. | Maybe. | Yes and no. | I am not sure. | Partly. | Honestly, |
    Personally, | Well, | To some extent."""
)

LINKS = split(
    """because {r} | , because {r} | , since {r} | : {r} | . {R} | as {r} | ; {r} | . I think {r} |
    . The way I see it, {r} | . To me {r} | . I believe {r} | . After all, {r} | . My main
    reason is that {r} | . What matters is that {r} | . In the end {r}"""
)

TWO = split(
    """and {r} | . Also, {r} | , and I also think {r} | . Besides, {r} | . On top of that, {r}"""
)

BUT = split(
    """but {r} | . On the other hand, {r} | , although {r} | . Still, {r} | , yet {r} | . However,
    {r}"""
)

TAILS = split(
    """That is how I see it. | Others may see it differently. | I feel strongly about this. | It
    affects people I know. | That is just my experience. | We should talk about it more. | I
    could change my mind, though. | It matters a lot where I live. | Time will tell. | I hope
    our leaders listen. | It should be done step by step. | My friends think the same."""
)

SURVEY_TAILS = split(
    """That is how I see it | It comes from my own experience | I have felt this way for years |
    People around me say the same | I might see it differently in another country | That is what
    I notice in daily life | Not everyone will agree with me | It was an easy choice | I had to
    think about it | The news only confirms it | My family sees it that way as well | I learned
    that the hard way | I have not seen anything to change my mind | It could be better | Others
    may have good reasons to differ | I hope that will change | I want to stay fair here | That
    is only my feeling | My parents thought otherwise | It has been like this for a long time"""
)

SURVEY_BECAUSE = split(
    """I see it every day where I live | that is what my experience tells me | times have changed |
    people like me notice the effects | nothing else makes sense to me | the facts point that
    way | it touches my family directly | I try to be realistic | we have waited long enough | I
    follow the news closely | trust has to be earned | life is complicated | I value fairness |
    my work has shown me as much | everyone I know talks about it | the past has taught us a
    lesson | I care about the next generation | there are bigger things to worry about | money
    is tight | leaders rarely keep their word | I believe in people | that is how I was raised |
    there is no simple solution | small steps matter | I have little to do with it"""
)

OPTION_ANY = split(
    """I would say {l} when it comes to {t} | {O}, at least as far as {t} is concerned | My answer
    is {l} if we talk about {t} | {O}. I have thought about {t} for a long time | On {t}, my
    answer is {l} | When it comes to {t}, I would say {l} | For {t}, I choose {l} | {O} is my
    answer on the question of {t} | I'd pick {l} for {t} | Thinking about {t}, I say {l} | {O},
    that is my view on {t} | As for {t}: {l} | I go with {l} on {t} | With {t} I would say {l} |
    {O} is how I see {t} | About {t} I would answer {l} | Regarding {t}, {l}"""
)

OPTION_LONG = split(
    """{O} | I think {l} | I believe that {l} | In my view, {l} | My answer is that {l} | I would
    say that {l} | To me, {l} | Thinking about {t}, I would say {l} | I feel that {l} | On {t},
    I think {l} | {O}. That is my view on {t} | When it comes to {t}, {l}"""
)

PRO_ANSWERS = split(
    """The best thing about {t} is that {r} | With {t}, {r} | {T}? I think {r} | People support {t}
    because {r} | I like {t} because {r} | Thanks to {t} {r} | I would say {r}, and that is the
    strength of {t} | The main gain from {t} is simple: {r}"""
)
CON_ANSWERS = split(
    """The problem with {t} is that {r} | With {t}, {r} | My worry about {t} is that {r} | People
    oppose {t} because {r} | When it comes to {t}, {r} | I fear {t} because {r} | {R}, and that
    is the weak point of {t} | What I do not like about {t}: {r}"""
)
LIMITS = split("Only {x} | Yes, but only {x} | Not {x} | Perhaps {x}")
LIMIT_ANSWERS = split(
    """{o}. I would {p} that way | {o} | My answer is {l} when it comes to {g} | {o}: that is how
    {a} should {p} | I would say {l} for {g} | {G}? {o}"""
)
STATEMENTS = split(
    """{s}. Do you agree or disagree? | {s}. | {h} topic: {s}? | Do you agree that {l}? | Should
    {a} {p}? | What do you think: {l}?"""
)

STATES = split(
    """banned | taxed | protected by law | free for everyone | free for all children | cheaper |
    closed on Sundays | regulated more strictly | paid for by the state | allowed everywhere |
    taught at school | reduced | lowered | raised | increased | open to everyone | illegal |
    legal | better funded | limited to a few | left alone | run by the city | made safer |
    lowered to 16 | raised to 67 | checked every year | a matter of choice | kept as they are |
    replaced by something better | allowed only at night | decided by voters | abolished | more
    common | rarer | available online | open at weekends | explained to the public"""
)
STATE_QUESTIONS = split(
    """Should {t} be {x}? | Do you think {t} should be {x}? | Do you think that {t} should be {x}?
    | Do you believe {t} ought to be {x}? | {T} should be {x}. Do you agree or disagree? | Would
    it be right if {t} were {x}? | Some people say {t} should be {x}. What do you say? | In your
    opinion, should {t} be {x} or not? | Would you like {t} to be {x}? | Is it time for {t} to
    be {x}?"""
)
STATE_FOR = split(
    """{T} should be {x} | I think {t} should be {x} | Yes, {t} should be {x} | I agree that {t}
    should be {x} | I would like {t} to be {x} | It is time for {t} to be {x} | I would vote for
    {t} to be {x} | Yes, I think {t} should be {x}"""
)
STATE_AGAINST = split(
    """{T} should not be {x} | I do not think {t} should be {x} | No, {t} should not be {x} | I
    disagree that {t} should be {x} | I see no need for {t} to be {x} | I would not want {t} to
    be {x} | No, I don't think {t} should be {x} | I am against it if {t} were to be {x}"""
)
STATE_MIXED = split(
    """I am not sure that {t} should be {x} | {T} should be {x} only in some cases | Maybe {t}
    should be {x}, but slowly | I can see both sides of it if {t} were to be {x} | I am torn on
    whether {t} should be {x} | I could live with it if {t} were {x}"""
)
WHO = split(
    """People | We | Parents | Young people | Companies | Politicians | Teachers | Neighbours | The
    rich | The government | Doctors | Families | Cities | Everyone | Nobody | Workers"""
)
DUTIES = split("should | should never | have to | must | ought to | could | need to")
PAIR_QUESTIONS = split(
    """Which comes closer to your view? | Which statement comes closer to what you think? | Which
    of these do you agree with more? | Choose the statement that fits you better. | Which is
    nearer to your own opinion? | Here are two views. Which one is yours? | What do you think is
    right? | If you had to choose, which would it be?"""
)
PAIR_ANSWERS = split(
    """{o} | I think {l} | I believe that {l} | In my view, {l} | I would say that {l} | To me, {l}
    | My view is that {l} | I agree more with the first thought that comes to me: {l} | If I had
    to choose: {l} | I am sure that {l} | I feel that {l} | Clearly, {l}"""
)
MATTER_QUESTIONS = split(
    """What matters most to you about {t}? | Besides {o}, what matters to you when it comes to {t}?
    | Apart from {o}, what is most important to you about {t}? | What is the most important
    thing about {t}? | What do you look for in {t}? | When you think of {t}, what do you care
    about? | What should people know about {t}? | How do {t} affect your life? | What would you
    change about {t}? | What is one thing that could be better about {t}? | Why do {t} matter? |
    Tell us what you expect from {t}."""
)
MATTER_ANSWERS = split(
    """What matters most to me about {t} is that {r} | For me {t} are about one thing: {r} | When
    it comes to {t}, I care that {r} | {R}, that is what I think of with {t} | I would tell
    people about {t} that {r} | With {t} I notice that {r} | I think about {t} quite often,
    because {r} | The most important thing about {t} to me: {r} | {T} touch my life because {r}
    | What I expect from {t} is simple, {r}"""
)
