"""`gpo predict`: how a group answers questions."""

from __future__ import annotations

import argparse

from rich.console import Console

from service.client import GPOClient
from service.commands import views
from service.commands.bodies import body_of
from service.commands.explanation import explanation
from service.commands.session import print_json, run_with_client
from service.remote import asking


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Ask and show; the status."""

    def work(client: GPOClient, console: Console) -> None:
        body = body_of(options, {"question": "question", "options": "option", "explain": "explain"})
        call = asking.predict_body(body)
        response = client.fetch(call)
        if options.json:
            print_json(response)
        else:
            predictions = call.read(response).predictions
            for each in predictions:
                views.show(console, views.prediction(each))
                if each.explanation is not None:
                    views.show(console, explanation(each))

    return run_with_client(options, work)
