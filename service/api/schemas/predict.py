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
from service.core.domain import Question
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

    @classmethod
    def of(cls, predicted: PredictedQuestion) -> PredictionOut:
        """A prediction; `id` only if the question had one."""
        question, shares = predicted.question, predicted.shares
        more: dict[str, Any] = {} if question.id is None else {"id": question.id}
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
