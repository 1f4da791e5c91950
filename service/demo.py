"""`gpo demo`: a tour over HTTP of a service that it starts, checks and stops.

A client like any other: it knows the API and the command line, nothing of what is behind them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from service.demo_view import Answer, Outcome, show

GROUPS = Path(__file__).resolve().parent / "web" / "example-groups"
"""The page at `/` offers the same two."""

SERVE = (sys.executable, "-m", "service", "serve", "--port", "0")

QUESTION = (
    "Would you support or oppose a law that limits how much landlords may raise the rent each year?"
)
OPTIONS = ("Support", "Oppose")
# The group that its context says is more in favour of the first option comes first.
FILES = ("city-tenants.json", "small-landlords.json")
LEAST_DIFFERENCE = 0.1

PROMPT = "Should the government put a limit on rent?"
DRAWS = {"n": 8, "seed": 7, "max_tokens": 60, "temperature": 0.8}

START_TIMEOUT_S = 180.0
REQUEST_TIMEOUT_S = 120.0


class DemoError(Exception):
    """The demo cannot go on; the message says why, in words for a person."""


def run(argv: Sequence[str], *, command: Sequence[str] = SERVE) -> int:
    """Run the tour and print it. 0: the groups differ as their contexts say; 1: anything else."""
    parser = argparse.ArgumentParser(prog="gpo demo", description=run_tour.__doc__)
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument(
        "--groups", type=Path, default=GROUPS, metavar="DIR", help=f"folder of {', '.join(FILES)}"
    )
    options = parser.parse_args(argv)
    console = Console(highlight=False, stderr=options.json)
    try:
        outcome = run_tour(console, folder=options.groups, command=command)
    except DemoError as exc:
        console.print(f"[bold red]The demo failed.[/] {escape(str(exc))}", soft_wrap=True)
        return 1
    if options.json:
        sys.stdout.write(json.dumps(asdict(outcome), indent=2) + "\n")
    else:
        show(console, outcome)
    if not outcome.ok:
        console.print(
            f"[bold red]The check failed.[/] By their contexts {outcome.groups[0].name} should "
            f"give the first option at least {LEAST_DIFFERENCE} more than "
            f"{outcome.groups[1].name}; the difference is {outcome.difference:+.3f}."
        )
    return 0 if outcome.ok else 1


def run_tour(console: Console, *, folder: Path, command: Sequence[str]) -> Outcome:
    """Start a service, register two contrasting groups, predict and generate for both."""
    started = time.monotonic()
    groups = [read_group(folder / name) for name in FILES]
    with (
        tempfile.TemporaryDirectory(prefix="gpo-demo-") as scratch,
        running_service(console, command, Path(scratch)) as url,
        httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S) as client,
    ):
        for group in groups:
            call(client, "/groups", group)
            console.print(f"  registered {group['name']}, {len(group['preferences'])} preferences")
        with waiting(console, f"asking both, and drawing {DRAWS['n']} answers to choose from"):
            answers = ask(client, groups)
    difference = answers[0].distribution[0] - answers[1].distribution[0]
    return Outcome(
        question=QUESTION,
        options=list(OPTIONS),
        prompt=PROMPT,
        groups=answers,
        difference=difference,
        ok=difference >= LEAST_DIFFERENCE,
        seconds=round(time.monotonic() - started, 1),
    )


def read_group(path: Path) -> dict[str, Any]:
    """One example group, as it is sent to POST /groups. Raises DemoError."""
    try:
        group: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise DemoError(
            f"{path} cannot be read: {exc.strerror}. Name the folder of the example groups: "
            "gpo demo --groups DIR"
        ) from exc
    return group


def ask(client: httpx.Client, groups: Sequence[dict[str, Any]]) -> list[Answer]:
    """One prediction and one generation for all groups: they choose among the same candidates."""
    ids = {"group_ids": [group["id"] for group in groups]}
    predicted = call(client, "/predict", {**ids, "question": QUESTION, "options": list(OPTIONS)})
    generated = call(client, "/generate", {**ids, "prompt": PROMPT, **DRAWS})
    distributions = {p["group_id"]: p["distribution"] for p in predicted["predictions"]}
    choices = {choice["group_id"]: choice for choice in generated["choices"]}
    return [
        Answer(
            id=group["id"],
            name=group["name"],
            preferences=len(group["preferences"]),
            distribution=distributions[group["id"]],
            text=choices[group["id"]]["text"],
            candidates=[
                {key: candidate[key] for key in ("index", "text", "score", "selected")}
                for candidate in choices[group["id"]]["candidates"]
            ],
        )
        for group in groups
    ]


def call(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """POST and decode. Raises DemoError with what the service said."""
    try:
        response = client.post(path, json=body)
    except httpx.HTTPError as exc:
        raise DemoError(f"POST {path}: {exc!r}") from exc
    if response.is_error:
        raise DemoError(f"POST {path} was answered with {response.status_code}: {response.text}")
    return response.json()


@contextmanager
def running_service(console: Console, command: Sequence[str], scratch: Path) -> Iterator[str]:
    """A service process of its own with an empty store; yields its URL once it is ready."""
    log = scratch / "server.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GPO_")}
    environment |= {
        "GPO_STORE_URL": f"sqlite:///{scratch / 'demo.db'}",
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(scratch),  # torch puts a folder there
    }
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        with waiting(console, "starting the service (it loads the embedder, the module, the LLM)"):
            url = wait_until_ready(process, log)
        console.print(f"  service ready at {url} after {time.monotonic() - started:.1f} s")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL that the service prints, once /readyz answers 200 there. Raises DemoError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            raise DemoError(f"The service ended with status {process.returncode}:\n{tail(said)}")
        found = re.search(r"http://127\.0\.0\.1:[1-9]\d*", said)
        if found and is_ready(found.group()):
            return found.group()
        time.sleep(0.1)
    raise DemoError(f"The service was not ready in {START_TIMEOUT_S:.0f} s:\n{tail(said)}")


def is_ready(url: str) -> bool:
    """Whether GET /readyz answers 200."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


def tail(log: str) -> str:
    """The end of a log, for a person to read."""
    return "\n".join(log.splitlines()[-20:])


def waiting(console: Console, text: str) -> AbstractContextManager[object]:
    """A spinner on a terminal, one line elsewhere."""
    if console.is_terminal:
        return console.status(text)
    console.print(f"  {text}")
    return nullcontext()
