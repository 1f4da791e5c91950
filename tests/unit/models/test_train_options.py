"""The options of `gpo train`: each explained, and read into the configurations they stand for."""

from __future__ import annotations

import pytest

from models.gpo import GPOConfig
from models.published import PublishedConfig
from models.train_options import network_config, parser, split_config, train_config
from models.trainer import TrainConfig

PLACES = ["--data", "d", "--out", "o"]


def test_every_option_is_explained() -> None:
    for action in parser("")._actions:
        assert action.help, action.option_strings


def test_without_options_the_module_is_trained_as_released() -> None:
    args = parser("").parse_args(PLACES)
    assert network_config(args, 768) == GPOConfig()
    assert train_config(args) == TrainConfig()
    assert split_config(args).test_questions > 0


def test_the_published_module_has_its_own_sizes_and_rate() -> None:
    args = parser("").parse_args([*PLACES, "--arch", "published", "--layers", "3"])
    assert network_config(args, 16) == PublishedConfig(embedding_dim=16, layers=3)
    assert train_config(args).learning_rate == 3e-4
    assert train_config(args).steps == TrainConfig().steps


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--steps", "0"),
        ("--batch", "-1"),
        ("--learning-rate", "0"),
        ("--learning-rate", "nan"),
        ("--robust", "-0.1"),
        ("--robust", "inf"),
        ("--paper", "0.5"),
        ("--arch", "other"),
        ("--layers", "two"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        parser("").parse_args([*PLACES, option, value])
    assert refused.value.code == 2
    assert option in capsys.readouterr().err
