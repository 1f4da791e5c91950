"""A report as JSON: its figures and every prediction, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from service.commands.report.figures import figures, miss
from service.commands.report.gathering import Report
from service.commands.report.items import Row


def to_json(report: Report) -> str:
    """One object; what is not known is null."""
    return json.dumps(
        {
            "made": report.made.isoformat(timespec="seconds"),
            "service": report.url,
            **report.about.model_dump(include={"version", "scorer", "embedder", "bank"}),
            "own_answers_in_bank": report.leaks,
            "folds": report.folds,
            "questions": report.file,
            "groups": [_group(report, place) for place in range(len(report.subjects))],
            "items": [_item(report, row) for row in report.rows],
        },
        ensure_ascii=False,
    )


def _group(report: Report, place: int) -> dict[str, Any]:
    group = report.subjects[place].group
    return {
        "id": group.id,
        "name": group.name,
        "version": group.version,
        "preference_count": group.preference_count,
        "preference_cap": report.caps.preferences,
        "context_tokens": group.context_tokens,
        "figures": asdict(figures(report.rows, place)),
    }


def _item(report: Report, row: Row) -> dict[str, Any]:
    return {
        "kind": row.item.kind.value,
        "prompt": row.item.prompt,
        "texts": row.item.texts,
        "groups": [
            {
                "id": subject.group.id,
                "predicted": side.told.shares,
                "interval": list(zip(side.told.low, side.told.high, strict=True)),
                "without_preferences": side.prior.shares,
                "answered": side.true,
                "people": side.people,
                "left_out": side.left_out,
                "miss": miss(row.item, side),
            }
            for subject, side in zip(report.subjects, row.sides, strict=True)
        ],
    }
