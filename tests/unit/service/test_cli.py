"""The command line: what it refuses, in one line, and what it hands over."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from pathlib import Path

import pytest
from fixtures.checkpoints import write_checkpoint

from models.checkpoint import load_checkpoint, load_file, save_checkpoint
from service.cli import main


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GPO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GPO_STORE_URL", f"sqlite:///{tmp_path / 'groups.db'}")


def status_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "word"),
    [
        ([], {"GPO_STROE_URL": "x"}, 2, "GPO_STORE_URL"),
        ([], {"GPO_PORT": "many"}, 2, "GPO_PORT"),
        ([], {"GPO_GENERATOR": "vllm-http"}, 2, "GPO_GENERATOR_URL"),
        ([], {"GPO_MAX_N": "500"}, 2, "GPO_MAX_CANDIDATES_IN_FLIGHT"),
        ([], {"GPO_DRAIN_S": "5", "GPO_DRAIN_DELAY_S": "6"}, 2, "GPO_DRAIN_DELAY_S (6)"),
        ([], {"GPO_CHECKPOINT": "nowhere"}, 2, "GPO_CHECKPOINT"),
        ([], {"GPO_STORE_URL": "sqlite:////nowhere/at/all.db"}, 1, "gpo: "),
        ([], {"GPO_STORE_URL": "postgres://x"}, 2, "GPO_STORE_URL"),
        ([], {"GPO_API_KEY": "town:" + "0a" * 32}, 2, "GPO_API_KEYS"),
        ([], {"GPO_API_KEY": "@keys.txt"}, 2, "GPO_API_KEYS"),
        (["--port", "70000"], {}, 2, "GPO_PORT"),
        (["--host", "0.0.0.0"], {}, 2, "GPO_ALLOW_NO_AUTH"),
        (["--host", "::"], {}, 2, "GPO_ALLOW_NO_AUTH"),
        (["--host", "0.0.0.0"], {}, 2, "GPO_API_KEYS"),
        (["--host", "192.0.2.1"], {"GPO_API_KEYS": "town:" + "0a" * 32}, 1, "192.0.2.1"),
        ([], {"GPO_API_KEYS": "town:swordfish"}, 2, "GPO_API_KEYS: the digest of entry 1"),
        ([], {"GPO_API_KEYS": ""}, 2, "GPO_API_KEYS: entry 1"),
        ([], {"GPO_RATE_REQUESTS": "5/minute"}, 2, "GPO_API_KEYS"),
        (
            [],
            {"GPO_API_KEYS": "town:" + "0a" * 32, "GPO_RATE_CANDIDATES": "many"},
            2,
            "GPO_RATE_CANDIDATES",
        ),
        (["--host", "192.0.2.1"], {"GPO_ALLOW_NO_AUTH": "1"}, 1, "192.0.2.1"),
        (["--host", "no such host"], {"GPO_ALLOW_NO_AUTH": "1"}, 1, "no such host"),
    ],
    ids=str,
)
def test_what_cannot_start_says_why_in_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    settings: dict[str, str],
    status: int,
    word: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert status_of("serve", *arguments) == status
    printed = capsys.readouterr()
    [line] = printed.err.splitlines()
    assert line.startswith("gpo: ")
    assert word in line
    assert printed.out == ""


def test_what_a_client_reads_does_not_keep_the_service_from_starting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GPO_API_KEY", "swordfish")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert status_of("serve", "--port", port) == 1
    assert "cannot listen" in capsys.readouterr().err


def test_a_checkpoint_that_lacks_a_tensor_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_checkpoint(tmp_path / "damaged", digest="d" * 64, dim=4)
    tensors, card = load_checkpoint(folder)
    lost, _ = tensors.popitem()
    files = {name: load_file(folder, card, name) for name in card.files}
    save_checkpoint(folder, tensors, card, files=files)
    monkeypatch.setenv("GPO_CHECKPOINT", str(folder))
    assert status_of("serve", "--port", "0") == 2
    printed = capsys.readouterr()
    [line] = printed.err.splitlines()
    assert line.startswith(f"gpo: GPO_CHECKPOINT: {folder}: ")
    assert lost in line
    assert printed.out == ""


def test_a_port_in_use_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert status_of("serve", "--port", str(port)) == 1
    assert capsys.readouterr().err.startswith(f"gpo: cannot listen on 127.0.0.1 port {port}: ")


def test_a_secret_is_not_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPO_GENERATOR_API_KEY", "swordfish")
    monkeypatch.setenv("GPO_STORE_URL", "mysql://user:swordfish@host/db")
    assert status_of("serve") == 2
    assert "swordfish" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["serve", "--port", "x"], ["serve", "more"]])
def test_wrong_arguments_are_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert status_of(*arguments) == 2
    assert "usage: gpo" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    text = capsys.readouterr().out
    commands = (
        *("serve", "demo", "train", "evaluate"),
        *("groups", "predict", "score", "generate", "completion"),
    )
    for command in commands:
        assert re.search(rf"^    {command}\s", text, re.MULTILINE)
    assert status_of("--version") == 0
    assert capsys.readouterr().out.startswith("gpo 0.")


@pytest.mark.parametrize("command", ["demo", "train", "evaluate"])
def test_every_listed_command_is_there(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert status_of(command, "--help") == 0
    assert "--" in capsys.readouterr().out


def test_a_new_key_is_printed_with_its_entry(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status_of("keys", "new", "town") == 0
    key, entry = (line.split()[1] for line in capsys.readouterr().out.splitlines())
    assert entry == f"town:{hashlib.sha256(key.encode()).hexdigest()}"
    assert status_of("keys", "new", "town", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["entry"] == f"town:{hashlib.sha256(made['key'].encode()).hexdigest()}"
    assert made["key"] != key
    assert status_of("keys", "new", "a tenant") == 2
    assert "1 to 64 characters" in capsys.readouterr().err
