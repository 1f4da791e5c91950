"""All settings, read from the environment in this one place.

Unknown `GPO_` names are refused, but for those of a client; combinations that cannot work fail at
start and name both keys.
"""

from __future__ import annotations

import difflib
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from service import client_settings
from service.api_keys import ApiKey, read_list

RELEASED = Path(__file__).resolve().parent.parent / "models" / "released"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class SettingsError(ValueError):
    """The environment does not describe a service that can run."""


class Settings(BaseSettings):
    """Every setting with its default; each field is the variable GPO_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="GPO_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    api_keys: SecretStr | None = Field(
        None,
        description="The keys that clients may use: tenant:sha256hex,… or @file with one a line. "
        "With it every route needs a key, but for /, /livez and /readyz. See docs/security.md.",
    )
    allow_no_auth: bool = Field(
        False, description="Listen beyond loopback although clients need no key."
    )
    rate_requests: str | None = Field(
        None,
        description="Requests that one key may send, such as 100/minute; none: no limit "
        "(GPO_API_KEYS).",
    )
    rate_candidates: str | None = Field(
        None,
        description="Candidates that one key may have drawn, such as 2000/hour; none: no limit "
        "(GPO_API_KEYS).",
    )
    store_url: str = Field(
        "sqlite:///gpo.db",
        description="Where groups are kept: sqlite:///relative, sqlite:////absolute, redis://….",
    )
    generator: Literal["transformers", "vllm-http", "vllm-engine"] = Field(
        "transformers",
        description="What draws the completions: transformers | vllm-http | vllm-engine.",
    )
    generator_url: str | None = Field(
        None, description="Base URLs of vLLM servers, with /v1, comma-separated (vllm-http)."
    )
    generator_api_key: str | None = Field(
        None, repr=False, description="Bearer token sent to the vLLM servers (vllm-http)."
    )
    model: str | None = Field(
        None,
        description="Path or hub name of the LLM. Default: the bundled small model, or with "
        "vllm-http the first of the server's models.",
    )
    embedder: str = Field(
        "minilm",
        description="minilm | st:NAME | hf:NAME. minilm reads English; for other languages name "
        "a multilingual one, with a checkpoint that was trained on it.",
    )
    checkpoint: Path = Field(
        RELEASED / "minilm", description="Folder of the GPO checkpoint (safetensors and card)."
    )
    bank: Literal["released", "own", "both", "none"] = Field(
        "released",
        description="Whose answers tell what to expect of a group: the public surveys that ship "
        "with the checkpoint (released), your other groups (own), both, or none. A group never "
        "sees its own answers, and never those of another tenant.",
    )
    bank_preferences: int = Field(
        200_000,
        ge=1,
        description="Most preferences of one tenant's groups in its bank (GPO_BANK=own or both). "
        "Of more groups than fit, a fixed sample is taken by a hash of their ids.",
    )
    prior: Literal["bank", "llm", "both"] = Field(
        "bank",
        description="What /predict expects of a question that the bank does not know: "
        "bank (similar questions) | llm (the LLM's own distribution) | both, pooled. "
        "See docs/llm-prior.md.",
    )
    prior_context_questions: int = Field(
        200,
        ge=0,
        description="Most questions of one group's preferences that the LLM is asked; the others "
        "keep the bank's prior (GPO_PRIOR=llm, both).",
    )
    prior_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds that the LLM has for the new questions of a group, and of a request "
        "(GPO_PRIOR=llm, both).",
    )
    device: str = Field("auto", description="Torch device: auto | cpu | cuda | cuda:N.")
    context_cache_mb: int = Field(
        256, ge=1, description="Bytes for cached context keys and values, in MB."
    )
    embedding_cache_mb: int = Field(64, ge=1, description="Bytes for cached text vectors, in MB.")
    group_cache_mb: int = Field(
        128, ge=0, description="Bytes for stored groups with their context vectors, in MB."
    )
    result_cache_mb: int = Field(
        0,
        ge=0,
        description="Bytes for answers of /predict that are given again while nothing that they "
        "depend on has changed, in MB; 0: none. Without effect with GPO_PRIOR=llm or both.",
    )
    threads: int = Field(
        0,
        ge=0,
        description="CPU threads of the embedder and the scorer; 0: half of the cores, which "
        "leaves the others to the API and the generator.",
    )
    batch_size: int = Field(
        256,
        ge=1,
        description="Most texts that are embedded at a time, or units of 16 options that are "
        "scored, over all requests that wait.",
    )
    batch_window_ms: float = Field(
        0.0,
        ge=0,
        le=1_000,
        description="Under load, the most that a batch waits for as many requests as the last "
        "one had. A request that comes alone never waits.",
    )
    max_options: int = Field(64, ge=2, description="Most options of a question.")
    max_preferences: int = Field(2_000, ge=1, le=10_000, description="Most preferences of a group.")
    max_context_tokens: int = Field(
        8_192,
        ge=1,
        le=8_192,
        description="Most (prompt, response) pairs of a group: options, rated and compared "
        "responses together. The module takes no more than the default.",
    )
    max_questions: int = Field(256, ge=1, le=10_000, description="Most questions in one /predict.")
    max_explained: int = Field(
        256,
        ge=1,
        description="Most preferences that one /predict explains: those of all its groups, each "
        "counted for each question.",
    )
    max_explained_tokens: int = Field(
        512,
        ge=1,
        description="Most (prompt, response) pairs of a group that is explained. The time grows "
        "faster than their square, and beyond the default each single step is long; "
        "GPO_REQUEST_TIMEOUT_S ends what takes too long.",
    )
    max_responses: int = Field(1_000, ge=1, description="Most responses in one /score.")
    max_groups: int = Field(64, ge=1, description="Most group_ids in one request.")
    max_n: int = Field(64, ge=1, description="Most candidates in one /generate.")
    best_of: int = Field(
        8,
        ge=1,
        description="Candidates that /v1/chat/completions and /v1/completions draw for a group "
        "when the request names no best_of; at least n, at most GPO_MAX_N.",
    )
    max_tokens: int = Field(4_096, ge=1, description="Most tokens of one completion.")
    max_list: int = Field(1_000, ge=1, description="Most groups on one page of a listing.")
    max_body_mb: float = Field(8.0, gt=0, description="Largest request body, in MB.")
    max_head_kb: float = Field(
        16.0,
        gt=0,
        le=256,
        description="Largest head of a request, in KB: its address and headers together. One "
        "header may have 8 KB.",
    )
    max_text_chars: int = Field(32_000, ge=1, description="Longest single text, in characters.")
    max_candidates_in_flight: int = Field(
        256, ge=1, description="Candidates drawn at the same time; more are refused with 503."
    )
    max_timeout_s: float = Field(
        600.0, gt=0, description="Longest timeout_s of one /generate, in seconds."
    )
    request_timeout_s: float = Field(
        120.0,
        gt=0,
        description="Longest one /predict or /score may take, in seconds; then it is stopped and "
        "answered 504. /generate has its own timeout_s.",
    )
    drain_s: float = Field(
        30.0,
        ge=0,
        description="Seconds that running requests have to finish after SIGTERM or SIGINT; what "
        "runs longer is stopped and answered 503. A second signal ends them at once.",
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        description="Seconds that the service goes on listening after the signal although nothing "
        "runs, so that a load balancer sees /readyz fail and sends nothing any more.",
    )
    consensus_weight: Annotated[float, Field(ge=0)] | Literal["fitted"] = Field(
        0.0,
        description="Weight of the candidates' consensus in selection_score; fitted: the one that "
        "chose best on the held-out groups of the checkpoint's training.",
    )
    relevance_weight: float = Field(
        0.0,
        ge=0,
        description="Weight in selection_score of a candidate's relevance, the cosine of its text "
        "to the prompt.",
    )
    system_prompt: str | None = Field(
        None, description="The operator's system prompt, put first in every conversation."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field(
            "info",
            description="Least level of the service's log records: debug | info | warning | error. "
            "The records of requests are info. Libraries are heard from warnings on.",
        )
    )
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = Field(
        "auto",
        description="json | console | auto: console where standard error is a terminal, else json.",
    )
    log_texts: bool = Field(
        False,
        description="Write prompts and completions into the log, for finding faults "
        "(GPO_LOG_LEVEL=debug). Otherwise no text of a request is logged.",
    )
    traces_url: str | None = Field(
        None,
        repr=False,
        description="OTLP/HTTP address of a trace collector, such as http://localhost:4318; "
        "none: no traces. Needs the extra traces.",
    )
    traces_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the requests that are traced, where a client has not decided it "
        "(GPO_TRACES_URL).",
    )

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.generator == "vllm-http" and not self.generator_url:
            raise ValueError(
                "GPO_GENERATOR=vllm-http needs GPO_GENERATOR_URL, for example "
                "http://localhost:8001/v1"
            )
        if self.generator != "vllm-http" and self.generator_url:
            raise ValueError(
                f"GPO_GENERATOR_URL is only read with GPO_GENERATOR=vllm-http, "
                f"but GPO_GENERATOR is {self.generator!r}"
            )
        if self.max_n > self.max_candidates_in_flight:
            raise ValueError(
                f"GPO_MAX_N ({self.max_n}) must not be above "
                f"GPO_MAX_CANDIDATES_IN_FLIGHT ({self.max_candidates_in_flight})"
            )
        if self.drain_delay_s > self.drain_s:
            raise ValueError(
                f"GPO_DRAIN_DELAY_S ({self.drain_delay_s:g}) must not be above "
                f"GPO_DRAIN_S ({self.drain_s:g}), which bounds the whole time to stop"
            )
        if not self.store_url.startswith(
            ("sqlite:///", "redis://", "rediss://", "unix://", "redis+sentinel://")
        ):
            raise ValueError("GPO_STORE_URL must start with sqlite:/// or redis://")
        if self.log_texts and self.log_level != "debug":
            raise ValueError(
                f"GPO_LOG_TEXTS writes at level debug, but GPO_LOG_LEVEL is {self.log_level!r}"
            )
        keys = self.keys  # read now, so that a wrong list ends the start
        for name in ("rate_requests", "rate_candidates"):
            if getattr(self, name) is not None and not keys:
                raise ValueError(
                    f"GPO_{name.upper()} is counted for each key, but GPO_API_KEYS is not set"
                )
        if self.traces_url and not self.traces_url.startswith(("http://", "https://")):
            raise ValueError("GPO_TRACES_URL must start with http:// or https://")
        return self

    @cached_property
    def keys(self) -> tuple[ApiKey, ...]:
        """The keys that clients may use; none are needed if there are none."""
        return () if self.api_keys is None else read_list(self.api_keys.get_secret_value())

    @cached_property
    def generator_urls(self) -> tuple[str, ...]:
        """The base URLs of the vLLM servers."""
        return tuple(u.strip().rstrip("/") for u in (self.generator_url or "").split(",") if u)

    @property
    def uses_own_groups(self) -> bool:
        """Whether a tenant's groups tell what to expect of each other."""
        return self.bank in ("own", "both")

    @property
    def bundled_model(self) -> Path:
        """Folder of the small language model that ships with the project."""
        return RELEASED / "opinion-lm"


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with `overrides` on top. Raises SettingsError."""
    known = {f"GPO_{name.upper()}" for name in Settings.model_fields} | client_settings.variables()
    if client_settings.is_key_list(os.environ.get("GPO_API_KEY", "")):
        raise SettingsError(
            "GPO_API_KEY is the one key that a client sends, but holds a list of digests; "
            "the keys that the service accepts are GPO_API_KEYS"
        )
    for name in os.environ:
        if name.startswith("GPO_") and name.upper() not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown setting {name}{hint}")
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        raise SettingsError("; ".join(_explain(error) for error in exc.errors())) from exc


def _explain(error: ErrorDetails) -> str:
    """One fault in one line, without the value: it may be a secret."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    return f"GPO_{str(error['loc'][0]).upper()}: {message}"
