"""A FastAPI application with one route that does nothing: what any route of this kind costs.

Takes the body of /predict as a pydantic model and answers with a constant. Served with the same
options of uvicorn as the service. Run as a program: the port, nothing else.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    question: str
    options: list[str]


class Body(BaseModel):
    """As much of the body of /predict as the benchmarks send."""

    group_id: str
    question: str | None = None
    options: list[str] | None = None
    questions: list[Question] | None = None


app = FastAPI()


@app.post("/predict")
async def predict(body: Body) -> dict[str, str]:
    """Read the body, do nothing."""
    return {"group_id": body.group_id}


@app.get("/livez")
async def livez() -> dict[str, str]:
    """For whoever waits until it listens."""
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        server_header=False,
    )
