"""Metrics, for Prometheus to collect."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """What is counted, in Prometheus's text format or, where it is asked for, OpenMetrics'."""
    page, content_type = request.app.state.telemetry.metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": content_type})
