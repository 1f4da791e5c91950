"""The two clients: alike, quick to load, and careful with what they are given."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.raw_http import HANG_UP, problem, reply, scripted

from service import client
from service.client import AsyncGPOClient, GPOClient, InvalidRequest, ProtocolError

ROOT = Path(__file__).resolve().parents[3]
SLOW = ("torch", "fastapi", "starlette", "redis", "numpy", "uvicorn", "pydantic_settings")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPO_URL", raising=False)
    monkeypatch.delenv("GPO_API_KEY", raising=False)


def test_it_loads_nothing_of_the_server() -> None:
    code = f"import sys, service.client; print([m for m in {SLOW} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("pair", [(GPOClient, AsyncGPOClient), (client.Groups, client.AsyncGroups)])
def test_both_clients_have_the_same_methods(pair: tuple[type, type]) -> None:
    names = [{n for n in vars(kind) if not n.startswith("_")} for kind in pair]
    assert names[0] - {"base_url", "fetch", "opened", "events"} == names[1]
    for name in names[1] - {"list", "close"}:
        first, second = (getattr(kind, name) for kind in pair)
        signatures = [inspect.signature(each) for each in (first, second)]
        if name in ("import_", "export"):  # iterated over in two ways, with the same parameters
            signatures = [each.replace(return_annotation=None) for each in signatures]
        assert signatures[0] == signatures[1]
        assert first.__doc__ == second.__doc__ is not None


def test_the_environment_names_server_and_key_and_arguments_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = reply(200, {"version": "0", "generator": "g", "scorer": "s", "embedder": "e"})
    with scripted(version, version) as server:
        monkeypatch.setenv("GPO_URL", server.url + "/below/v1/")
        monkeypatch.setenv("GPO_API_KEY", "from-env")
        for key in (None, "given"):
            with GPOClient(api_key=key) as gpo:
                gpo.version()
    assert [head.split(" ")[1] for head in server.heads] == ["/below/v1/version"] * 2
    assert "Bearer from-env" in server.heads[0]
    assert "Bearer given" in server.heads[1]


def test_a_key_is_sent_nowhere_a_redirection_points_to() -> None:
    with scripted() as other:
        moved = reply(307, {}, headers=[f"Location: {other.url}/version"])
        with (
            scripted(moved) as server,
            GPOClient(server.url, api_key="k") as gpo,
            pytest.raises(ProtocolError),
        ):
            gpo.version()
        assert other.heads == []


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "nonsense"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        GPOClient(url)


def test_a_key_with_a_line_end_is_refused() -> None:
    with pytest.raises(ValueError, match="API key"):
        GPOClient("http://127.0.0.1:1", api_key="a\r\nX-Admin: 1")


@pytest.mark.parametrize("group_id", [".", "..", "a:b.c_d-e", "a/../b", "ü ?#"])
def test_an_id_stays_one_part_of_the_path(group_id: str) -> None:
    with (
        scripted(problem(404, "group_not_found")) as server,
        GPOClient(server.url) as gpo,
        pytest.raises(client.NotFound),
    ):
        gpo.groups.get(group_id)
    path = server.heads[0].split(" ")[1]
    assert path.startswith("/groups/")
    assert path.count("/") == 2
    assert "/." not in path
    assert "?" not in path


def test_arrays_and_tuples_are_sent_as_lists() -> None:
    share = {"question": "?", "options": ("a", "b"), "distribution": np.array([0.25, 0.75])}
    with (
        scripted(problem(422, "invalid_input")) as server,
        GPOClient(server.url) as gpo,
        pytest.raises(InvalidRequest),
    ):
        gpo.predict("Q", ("x", "y"), preferences=(share,))
    assert b'"distribution": [0.25, 0.75]' in server.bodies[0]


def test_nan_is_not_sent() -> None:
    with scripted() as server, GPOClient(server.url) as gpo:
        with pytest.raises(ValueError, match="JSON"):
            gpo.groups.append("town", [{"prompt": "p", "response": "r", "score": float("nan")}])
        assert server.heads == []


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"", b"null"])
def test_another_servers_answer_is_a_protocol_error(body: bytes) -> None:
    with (
        scripted(reply(200, body)) as server,
        GPOClient(server.url) as gpo,
        pytest.raises(ProtocolError, match="not an answer of this service"),
    ):
        gpo.version()


def test_a_password_in_the_address_is_not_shown() -> None:
    with scripted(HANG_UP) as server:
        url = server.url.replace("http://", "http://user:swordfish@")
        with (
            GPOClient(url, retries=client.Retries(most=0)) as gpo,
            pytest.raises(client.ConnectionFailed) as raised,
        ):
            gpo.version()
    assert "swordfish" not in str(raised.value)
