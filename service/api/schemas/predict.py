"""The body and the answer of /predict."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from service.api.schemas.base import (
    MOST_ITEMS,
    Name,
    Options,
    RequestModel,
    ResponseModel,
    Text,
    capped,
)
from service.api.schemas.either import either
from service.api.schemas.target import ONE_TARGET, TargetIn
from service.core.domain import Kind, Question
from service.core.explain import LABEL_CHARS, Influence
from service.core.faults import Faults
from service.core.predict import PredictedQuestion, Predictions


class QuestionIn(RequestModel):
    """A question with its options."""

    id: Name | None = Field(None, description="Given back with the prediction.")
    question: Text
    options: Options


class PredictIn(TargetIn):
    """Whose answer, and to what: `question` and `options`, or `questions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "preferences": [
                    {
                        "question": "How should the town spend its surplus?",
                        "options": ["On parks", "On roads"],
                        "distribution": [0.7, 0.3],
                    }
                ],
                "question": "Should the main street be closed to cars?",
                "options": ["Yes", "Only at weekends", "No"],
            },
            "allOf": [
                ONE_TARGET,
                {"oneOf": either("question options", "questions")},
            ],
        }
    )

    question: Text | None = None
    options: Options | None = None
    questions: (
        Annotated[
            list[QuestionIn],
            Field(
                max_length=MOST_ITEMS,
                json_schema_extra={"minItems": 1, **capped("questions")},
            ),
        ]
        | None
    ) = Field(None, description="Several questions at once, instead of `question` and `options`.")
    explain: bool = Field(
        False,
        description="Also say what each preference of the group did to the answer: each is left "
        "out in turn, which takes time.",
    )

    def to_questions(self) -> tuple[list[Question], list[str]]:
        """The questions, each with its pointer into the body. Raises InvalidInput."""
        faults = Faults()
        if self.questions is not None:
            for name in ("question", "options"):
                if getattr(self, name) is not None:
                    faults.wrong(f"/{name}", "give question and options, or questions")
            if not self.questions:
                faults.wrong("/questions", "at least 1 question")
            faults.check()
            asked = [Question(q.question, tuple(q.options), q.id) for q in self.questions]
            return asked, [f"/questions/{index}" for index in range(len(asked))]
        if self.question is None:
            faults.wrong("/question", "is required, or questions")
        if self.options is None:
            faults.wrong("/options", "is required with question")
        faults.check()
        assert self.question is not None
        assert self.options is not None
        return [Question(self.question, tuple(self.options))], [""]


class InfluenceOut(ResponseModel):
    """What one preference did to the answer; every list is in the order of the options."""

    index: int = Field(description="Its place among the group's preferences, from 0.")
    kind: Kind
    preference: str = Field(
        description=f"What it is about: the prompt, then a rated or the chosen response, in at "
        f"most {LABEL_CHARS} characters."
    )
    distribution_without: list[float] = Field(
        description="What the group would be answered if it had been registered without it."
    )
    influence: list[float] = Field(
        description="`distribution` minus `distribution_without`; sums to 0."
    )
    strength: float = Field(
        description="How far the two are apart: half of the sum of the absolute influences, the "
        "total variation distance; from 0 to 1."
    )

    @classmethod
    def of(cls, influence: Influence) -> InfluenceOut:
        """One entry of an explanation."""
        return cls(
            index=influence.index,
            kind=influence.kind,
            preference=influence.label,
            distribution_without=list(influence.without),
            influence=list(influence.influence),
            strength=influence.strength,
        )


class PredictionOut(ResponseModel):
    """A group's predicted answer; every list is in the order of the options."""

    group_id: str | None
    group_version: int | None
    id: str = ""
    question: str
    options: list[str]
    distribution: list[float] = Field(description="Sums to 1.")
    std: list[float]
    interval: list[tuple[float, float]] = Field(
        description="The central 90 % of each share: lo <= share <= hi."
    )
    top: str = Field(description="The option with the highest share.")
    prior: list[float] = Field(
        [],
        description="Only with `explain`: what a group without preferences would be answered.",
    )
    explanation: list[InfluenceOut] = Field(
        [],
        description="Only with `explain`: every preference of the group, the strongest first, of "
        "equals the one that was registered first.",
    )

    @classmethod
    def of(cls, predicted: PredictedQuestion) -> PredictionOut:
        """A prediction; `id` only if the question had one, reasons if they were asked for."""
        question, shares, why = predicted.question, predicted.shares, predicted.explanation
        more: dict[str, Any] = {} if question.id is None else {"id": question.id}
        if why is not None:
            more["prior"] = list(why.prior)
            more["explanation"] = [InfluenceOut.of(one) for one in why.influences]
        return cls(
            group_id=predicted.group.group_id,
            group_version=predicted.group.group_version,
            question=question.question,
            options=list(question.options),
            distribution=[s.share for s in shares],
            std=[s.std for s in shares],
            interval=[(s.low, s.high) for s in shares],
            top=predicted.top,
            **more,
        )


class PredictUsage(ResponseModel):
    """What was computed."""

    context_tokens: int = Field(description="(prompt, response) pairs in the contexts.")
    embedded_texts: int = Field(description="(question, option) pairs.")


class PredictOut(ResponseModel):
    """Predictions group after group, and within a group in the order of the questions."""

    model: str
    predictions: list[PredictionOut]
    usage: PredictUsage
    timings: dict[str, float] = Field(description="Milliseconds.")

    @classmethod
    def of(cls, result: Predictions) -> PredictOut:
        """The answer to a request."""
        return cls(
            model=result.model,
            predictions=[PredictionOut.of(p) for p in result.predictions],
            usage=PredictUsage(
                context_tokens=result.context_tokens, embedded_texts=result.embedded_texts
            ),
            timings=result.timings,
        )
