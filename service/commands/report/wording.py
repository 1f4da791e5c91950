"""The words and numbers of a report: how figures are said, what they mean and do not mean."""

from __future__ import annotations

from service.commands.report.figures import NOMINAL, Figures

MOST_LISTED = 5
FEW = 20
"""Shares of which too many or too few inside their intervals say nothing yet."""
NBSP = "\N{NO-BREAK SPACE}"
READING = {
    "predicted share": "The share of the group that would pick an option or approve of a text, as "
    "the module expects it from the group's preferences. It is an estimate, not a survey: nobody "
    "was asked.",
    "90 % interval": "Where the true share should lie nine times out of ten. A wide one says that "
    "little is known; a group's answers to like questions make it narrower.",
    "what the group answered": "The share in the data that the group was registered with, or that "
    "stands beside a question in the file. It is itself uncertain where few people were asked: of "
    "50 people, by up to 14 percentage points either way at 95 % confidence.",
    "predicted without its preferences": "What is expected of people nothing is known of. Where "
    "the group's answer is no nearer to the prediction than to this, its preferences said nothing "
    "about the question.",
    "predicted from its other preferences": "The preference itself is left out of the context, and "
    "so is every other one on the same question, or on the same text. The rest may still be nearer "
    "to it than the questions that you will ask: a registration on one subject predicts itself "
    "better than the world.",
    "alignment": "1 minus the distance between predicted and true shares: the Jensen-Shannon "
    "distance (root, base e), or the 1-Wasserstein distance over the scale where the file gives "
    "the options an order. 1 is perfect.",
    "±": "The standard error over the questions. With few questions it is itself rough.",
    "limits": "A prediction for a group says nothing about a person in it. Do not use it to decide "
    "about people, and do not register groups so small that a share describes somebody.",
}


def percent(share: float) -> str:
    """A share for a person to read."""
    return f"{100 * share:.0f}{NBSP}%"


def decimal(value: float, error: float | None, *, sign: bool = False) -> str:
    """A figure with its standard error."""
    shown = f"{value:+.3f}" if sign else f"{value:.3f}"
    return shown if error is None else f"{shown}{NBSP}±{NBSP}{error:.3f}"


def verdict(found: Figures) -> str:
    """What the figures say, in a sentence or two; empty if they say nothing."""
    said = []
    gain = found.gain
    if gain is not None and gain.error is not None:
        if abs(gain.value) < 2 * gain.error:
            said.append(
                "On these questions its preferences do not clearly bring the prediction nearer to "
                "its answers, or further from them."
            )
        elif f"{abs(gain.value):.2f}" == "0.00":
            said.append(
                "On these questions the prediction is as near to its answers as it would be "
                "without its preferences: the alignment gains 0.00."
            )
        else:
            way = "nearer to" if gain.value > 0 else "further from"
            said.append(
                f"Its preferences bring the prediction {way} its answers, by "
                f"{abs(gain.value):.2f} in alignment."
            )
    covered = found.covered
    if covered is not None:
        said.append(
            f"{percent(covered.value)} of the true shares are inside the 90 % intervals"
            + _judged(covered.value, covered.n)
        )
    return " ".join(said)


def _judged(share: float, n: int) -> str:
    """Two standard errors of a share of n; options of a question move together, so it is rough."""
    if n < FEW:
        return "."
    rough = 2 * (NOMINAL * (1 - NOMINAL) / n) ** 0.5
    if share < NOMINAL - rough:
        return ": they are narrower than they should be for this group."
    if share > NOMINAL + rough:
        return ": they are wider than they would have to be."
    return ", about as many as should be."
