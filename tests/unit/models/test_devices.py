"""A device that is not there is named, not met later as a traceback."""

from __future__ import annotations

import pytest
import torch

from models import evaluate, train
from models.devices import find_device


def test_auto_is_what_is_there() -> None:
    assert find_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert find_device("cpu") == "cpu"


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="'abacus' is no torch device"):
        find_device("abacus")


@pytest.mark.parametrize("command", [train.main, evaluate.main])
def test_the_commands_refuse_it_in_one_line(command, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as stopped:
        command(["--data", "x", "--out", "y", "--device", "abacus"])
    assert stopped.value.code == 2
    assert "'abacus' is no torch device" in capsys.readouterr().err
