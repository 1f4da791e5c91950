"""`gpo generate`: candidates as they come, then the group's choice among them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.text import Text

from service.client import CandidateEvent, DoneEvent, Generation, GPOClient
from service.commands import views
from service.commands.bodies import body_of
from service.commands.session import print_json, run_with_client
from service.commands.views import plain
from service.remote import asking

_FIELDS = (
    "prompt",
    "n",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "steering",
    "timeout_s",
    "allow_partial",
)


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Generate and show; the status."""

    def work(client: GPOClient, console: Console) -> None:
        body = body_of(options, {name: name for name in _FIELDS})
        if options.json:
            print_json(client.fetch(asking.generate_body(body)))
        else:
            show_generation(console, follow(client, console, body))

    return run_with_client(options, work)


def follow(client: GPOClient, console: Console, body: Mapping[str, Any]) -> Generation | None:
    """Print each candidate as it comes; what the stream ends with."""
    done = None
    with closing(client.events(asking.generate_body(body))) as events:
        for event in events:
            if isinstance(event, CandidateEvent):
                console.print(_line(event))
            elif isinstance(event, DoneEvent):
                done = event.generation
    return done


def show_generation(console: Console, generation: Generation | None) -> None:
    """Print the ranked candidates and the choice of each group."""
    if generation is None:
        return
    if generation.text is not None:
        candidates = generation.candidates or []
        views.show(console, views.choice(generation.text, candidates, generation.group_id))
    for each in generation.choices or []:
        views.show(console, views.choice(each.text, each.candidates or [], each.group_id))
    console.print(Text(f"seed {generation.seed}, model {plain(generation.model)}", "dim"))


def _line(event: CandidateEvent) -> Text:
    scored = event.scores or []
    shares = [s.score for s in scored] if event.score is None else [event.score]
    approval = " ".join(f"{share:.3f}" for share in shares)
    return Text.assemble((f"  {approval}  ", "cyan"), plain(event.text))
