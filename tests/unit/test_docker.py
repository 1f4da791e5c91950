"""Lints the image and the compose file: no engine is needed, and none builds them here."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE_FILE = ROOT / "docker-compose.yml"
ONE_SHOT = {"volume-owner"}  # hands a volume over and ends: root with CHOWN alone, no health


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return content


def instructions() -> list[tuple[str, str]]:
    """(keyword, argument) of each instruction, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    lines = (line.strip() for line in joined.splitlines())
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in pairs]


def arguments(keyword: str) -> list[str]:
    return [rest for word, rest in instructions() if word == keyword]


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("hadolint", path=Path(sys.executable).parent) or "hadolint"
    return subprocess.run([program, str(dockerfile)], capture_output=True, text=True)


def image_of(service: str) -> str:
    return str(compose()["services"][service]["image"])


SERVICES = sorted(compose()["services"])
LASTING = sorted(set(SERVICES) - ONE_SHOT)


def test_hadolint_finds_nothing() -> None:
    result = hadolint(DOCKERFILE)
    assert (result.returncode, result.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nADD . /src\nRUN apt-get install curl\nCMD gpo serve\n")
    result = hadolint(bad)
    assert result.returncode != 0
    assert {"DL3007", "DL3020", "DL3025"} <= set(re.findall(r"DL\d{4}", result.stdout))


def test_compose_file_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*command, str(COMPOSE_FILE)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_image_is_built_in_stages_from_a_pinned_python() -> None:
    bases = arguments("FROM")
    assert len(bases) == 2
    for base in bases:
        assert re.match(r"python:3\.11\.\d+-slim-\w+", base), base


def test_image_runs_unprivileged_and_without_a_shell() -> None:
    words = [word for word, _ in instructions()]
    user = arguments("USER")[-1]
    assert int(user) > 0
    assert not {"ADD", "ONBUILD", "MAINTAINER"} & set(words)
    last_run = len(words) - 1 - words[::-1].index("RUN")
    assert words.index("USER") > last_run
    for word in ("CMD", "ENTRYPOINT"):
        assert all(rest.startswith("[") for rest in arguments(word))
    (health,) = arguments("HEALTHCHECK")
    assert "/livez" in health
    assert 'CMD ["' in health


def test_image_keeps_no_package_cache_and_no_secret() -> None:
    for run in arguments("RUN"):
        if "pip install" in run:
            assert "--no-cache-dir" in run
            assert "-c constraints.txt" in run or "--no-deps" in run
        if "apt-get install" in run:
            assert "--no-install-recommends" in run
            assert "rm -rf /var/lib/apt/lists/*" in run
    for word in ("ARG", "ENV"):
        for rest in arguments(word):
            assert not re.search(r"(?i)(password|secret|token|api_key)\s*=\s*\S", rest)


def test_image_context_holds_what_is_copied_and_nothing_private() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source for rest in arguments("COPY") if "--from" not in rest for source in rest.split()[:-1]
    }
    assert "*" in ignore
    assert copied == admitted
    for source in copied:
        assert (ROOT / source).exists(), source


def test_released_weights_are_in_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "released/**/*" in project["tool"]["setuptools"]["package-data"]["models"]


def test_there_is_a_cpu_and_a_gpu_profile() -> None:
    services = compose()["services"]
    in_profile = {
        profile: {name for name, body in services.items() if profile in body["profiles"]}
        for profile in ("cpu", "gpu")
    }
    shared = {"api", "redis", "volume-owner"}
    assert in_profile == {"cpu": {"vllm-cpu", *shared}, "gpu": {"vllm-gpu", *shared}}


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned(service: str) -> None:
    _, _, tag = image_of(service).partition(":")
    assert re.search(r"\d+\.\d+\.\d+", tag), image_of(service)


def test_vllm_images_are_of_the_version_that_the_project_is_built_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (requirement,) = project["project"]["optional-dependencies"]["vllm"]
    version = requirement.partition("==")[2]
    assert image_of("vllm-gpu") == f"vllm/vllm-openai:v{version}"
    assert image_of("vllm-cpu") == f"vllm/vllm-openai-cpu:v{version}-x86_64"


@pytest.mark.parametrize("service", LASTING)
def test_lasting_services_are_unprivileged_and_watched(service: str) -> None:
    body = compose()["services"][service]
    assert int(body["user"].partition(":")[0]) > 0
    assert body["restart"] == "unless-stopped"
    assert "no-new-privileges:true" in body["security_opt"]
    assert not body.get("privileged", False)
    assert body["healthcheck"]["test"][0].startswith("CMD")


@pytest.mark.parametrize("service", sorted(ONE_SHOT))
def test_one_shot_services_can_do_nothing_else(service: str) -> None:
    body = compose()["services"][service]
    assert body["cap_drop"] == ["ALL"]
    assert body["cap_add"] == ["CHOWN"]
    assert body["network_mode"] == "none"
    assert body["read_only"]


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_bound_to_the_loopback_address(service: str) -> None:
    ports = compose()["services"][service].get("ports", [])
    assert bool(ports) == (service == "api")
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("service", SERVICES)
def test_volumes_are_named_or_read_only(service: str) -> None:
    content = compose()
    for mount in content["services"][service].get("volumes", []):
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert rest.endswith(":ro")
        else:
            assert source in content["volumes"]


def test_api_waits_for_healthy_neighbours() -> None:
    waits = compose()["services"]["api"]["depends_on"]
    assert set(waits) == {"redis", "vllm-cpu", "vllm-gpu"}
    assert {wait["condition"] for wait in waits.values()} == {"service_healthy"}
    # Each profile starts one of the two, so neither may be required.
    assert not waits["vllm-cpu"]["required"]
    assert not waits["vllm-gpu"]["required"]


def test_api_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = compose()["services"]["api"]["environment"]
    image = dict(re.findall(r"(GPO_\w+)=(\S+)", " ".join(arguments("ENV"))))
    for name, value in {**image, **environment}.items():
        assert name.removeprefix("GPO_").lower() in Settings.model_fields, name
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.generator_urls == ("http://vllm:8000/v1",)
    assert settings.store_url.startswith("redis://redis:")
    assert settings.allow_no_auth


def test_redis_keeps_groups() -> None:
    command = compose()["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "volatile-ttl"
    assert "redis:/data" in compose()["services"]["redis"]["volumes"]
