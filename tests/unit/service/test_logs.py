"""The log: one line for each record, alike for all, without what variables hold."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from service import logs
from service.api.telemetry.access_log import AccessLog
from service.api.telemetry.exchange import Exchange
from service.core.request_context import REQUEST_ID

SWITCHES = ("logThreads", "logProcesses", "logMultiprocessing")


@pytest.fixture
def err() -> Iterator[io.StringIO]:
    """What is logged; the state of logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    switches = {name: getattr(logging, name) for name in SWITCHES}
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in switches.items():
        setattr(logging, name, value)
    for name in ("service", "models"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(err: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.getvalue().splitlines()]


def ended(**changes: Any) -> Exchange:
    exchange = Exchange(
        **{"method": "POST", "path": "/predict", "request_id": "r-1", "headers": {}, **changes}
    )
    with exchange.watch.stage("embed"):
        pass
    exchange.end(route="/predict", status=200)
    return exchange


def test_records_of_the_service_and_of_libraries_are_alike(err: io.StringIO) -> None:
    logs.configure(level="info", style="json", stream=err)
    token = REQUEST_ID.set("r-7")
    logging.getLogger("service.core.contexts").info("hello %s", "you", extra={"n": 3})
    logging.getLogger("uvicorn.error").warning("odd")
    REQUEST_ID.reset(token)
    logging.getLogger("models").warning("later")
    own, library, later = lines(err)
    assert (own["event"], own["level"], own["n"]) == ("hello you", "info", 3)
    assert (library["event"], library["logger"]) == ("odd", "uvicorn.error")
    assert own["request_id"] == library["request_id"] == "r-7"
    assert "request_id" not in later
    assert set(own) == set(library) | {"n"}


def test_records_of_requests_look_like_the_others(err: io.StringIO) -> None:
    logs.configure(level="info", style="json", stream=err)
    AccessLog().end(ended(path="/predict/" + "x" * 5_000))
    logging.getLogger("service.other").warning("hello")
    access, other = lines(err)
    assert {"event", "level", "logger", "timestamp"} <= set(access) & set(other)
    assert len(access["timestamp"]) == len(other["timestamp"])
    assert (access["event"], access["logger"]) == ("request", "service.access")
    assert (access["route"], access["status"], access["request_id"]) == ("/predict", 200, "r-1")
    assert access["duration_ms"] >= access["stages_ms"]["embed"] >= 0
    assert len(access["path"]) == 200


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_holds_no_variables(
    err: io.StringIO, style: Literal["json", "console"]
) -> None:
    logs.configure(level="info", style=style, stream=err)
    text = "-".join(["sword", "fish"])
    try:
        raise ValueError(f"{len(text)} letters")
    except ValueError:
        logging.getLogger("service.core").exception("failed")
    assert "10 letters" in err.getvalue()
    assert "sword-fish" not in err.getvalue()


def test_libraries_are_heard_from_warnings_on_whatever_the_level(err: io.StringIO) -> None:
    logs.configure(level="debug", style="json", stream=err)
    logging.getLogger("httpx").info("POST with a body")
    logging.getLogger("service.x").debug("own")
    assert [line["event"] for line in lines(err)] == ["own"]
    logs.configure(level="error", style="json", stream=err)
    logging.getLogger("httpx").warning("a warning")
    AccessLog().end(ended())
    assert [line["event"] for line in lines(err)] == ["own"]


def test_the_console_shows_the_fields_of_a_request(err: io.StringIO) -> None:
    logs.configure(level="info", style="console", stream=err)
    AccessLog().end(ended())
    assert "route=/predict" in err.getvalue()
    assert "status=200" in err.getvalue()
    assert "fields" not in err.getvalue()


def test_without_a_terminal_the_log_is_json(err: io.StringIO) -> None:
    logs.configure(level="info", style="auto", stream=err)
    logging.getLogger("service").warning("hello")
    assert lines(err)[0]["event"] == "hello"


def test_warnings_of_python_are_records(err: io.StringIO) -> None:
    logs.configure(level="info", style="json", stream=err)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "old" in lines(err)[0]["event"]


def test_a_library_loses_the_handler_that_it_brought(err: io.StringIO) -> None:
    logs.configure(level="info", style="json", stream=err)
    library = logging.getLogger("some_library_of_this_test")
    library.addHandler(logging.StreamHandler(err))
    library.propagate = False
    logs.adopt_libraries()
    library.warning("once")
    assert [line["event"] for line in lines(err)] == ["once"]
