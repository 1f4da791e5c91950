"""What ships: weights in bfloat16, tokenizer, generation config, the card and its README.

Facts of the training come from the run's state, figures from `evaluate`; nothing is typed by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.opinion_lm.config import CorpusOptions, TrainOptions
from models.opinion_lm.train import Progress

WEIGHTS = "model.safetensors"
CARD = "card.json"

DATA: tuple[dict[str, str], ...] = (
    {
        "name": "Global Dialogues, rounds 4-6",
        "use": "free-text answers",
        "licence": "terms of the Collective Intelligence Project",
    },
    {"name": "openai/democratic-inputs", "use": "free-text answers", "licence": "CC BY 4.0"},
    {"name": "akonya/polarized-issues-data", "use": "free-text answers", "licence": "CC BY 4.0"},
    {"name": "IBM KPA-2021 arguments", "use": "free-text answers", "licence": "Apache-2.0"},
    {
        "name": "OpinionQA (Pew American Trends Panel aggregates)",
        "use": "questions, options, shares",
        "licence": "research use; see Pew Research Center's terms",
    },
    {
        "name": "GlobalOpinionQA (Pew Global Attitudes, World Values Survey)",
        "use": "questions, options, shares",
        "licence": "CC BY-NC-SA 4.0: non-commercial",
    },
    {
        "name": "topics, prompts and templates of this project",
        "use": "made-up prompts and answers",
        "licence": "as this project",
    },
)
LIMITS = (
    "A demonstration model: a few million parameters, trained from scratch in hours. It shows the"
    " service without a download; whoever means it sets GPO_MODEL to a larger model.",
    "English only. It knows no facts; reasons may be beside the point or contradict the stance."
    " Survey-like prompts and proposals go best; free questions without either often get broken"
    " sentences, as the perplexity on real prompts shows.",
    "It was trained on prompts of at most 150 tokens; longer prompts work, but worse.",
    "The stances are those of survey options and of made-up reasons, not anybody's real opinion;"
    " a group named in a system message has hardly any influence.",
    "Most answers follow a few hundred sentence patterns, so parts of them recur word for word;"
    " whole answers that recur are those to survey questions on a subject seen in training.",
    "The made-up part of the corpus was widened twice during the run: the same command gives a"
    " similar model, not the same one.",
    "Trained with non-commercial data (GlobalOpinionQA): the weights are for non-commercial use.",
)


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hardware(threads: int, device: str) -> str:
    """The class of machine: the processor's or the accelerator's name and the threads used."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'CPU'}, {threads} thread{'s' if threads > 1 else ''}"


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model in bfloat16 with everything needed to load it offline."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_p=0.95,
        top_k=0,
        max_new_tokens=64,
    )
    model.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    (folder / WEIGHTS).chmod(0o644)


def training_facts(
    model: LlamaForCausalLM,
    progress: Progress,
    options: TrainOptions,
    corpus: CorpusOptions,
    *,
    hardware: str,
) -> dict[str, Any]:
    """The part of the card that is known after training."""
    config = model.config
    return {
        "name": "opinion-lm",
        "what": "a small language model that answers opinion prompts in the first person; a demo",
        "architecture": "LlamaForCausalLM",
        "parameters": model.num_parameters(),
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "heads": config.num_attention_heads,
        "head_dim": config.head_dim,
        "mlp_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
        "dtype": "bfloat16",
        "licence": "CC BY-NC-SA 4.0 (because of GlobalOpinionQA)",
        "data": list(DATA),
        "seeds": {"corpus": corpus.seed, "training": options.seed},
        "training": {
            "steps": progress.step,
            "epochs_begun": progress.epoch + 1,
            "tokens_seen": progress.tokens,
            "answer_tokens_seen": progress.answers_tokens,
            "hours": round(progress.seconds / 3600, 2),
            "hardware": hardware,
            "batch_rows": options.rows,
            "row_tokens": options.row_tokens,
            "optimizer": "Muon (matrices), AdamW (embeddings, norms)",
            "matrix_lr": options.matrix_lr,
            "other_lr": options.other_lr,
            "schedule": "warmup, stable, linear decay",
            "decay_steps": options.decay_steps,
            "final_loss": _mean(progress.losses[-50:]),
            **({"continued_from": progress.origin} if progress.origin else {}),
        },
        "limits": list(LIMITS),
        "metrics": {},
    }


def origin(folder: Path) -> dict[str, Any]:
    """Where a run that starts from released weights comes from: their digest and training."""
    card = json.loads((folder / CARD).read_text("utf-8"))
    names = ("steps", "epochs_begun", "tokens_seen", "answer_tokens_seen", "hours")
    return {"sha256": card["sha256"][WEIGHTS], **{n: card["training"][n] for n in names}}


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def write_card(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Merge facts into the card, renew its digest and size, and write the README beside it."""
    path = folder / CARD
    card: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    card |= facts
    card["sha256"] = {WEIGHTS: digest(folder / WEIGHTS)}
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "README.md").write_text(readme(card), "utf-8")
    return card


def readme(card: Mapping[str, Any]) -> str:
    """A short model card in Markdown, made from the JSON card."""
    training, metrics = card["training"], card.get("metrics", {})
    data = "\n".join(f"- {d['name']}: {d['use']}; {d['licence']}" for d in card["data"])
    limits = "\n".join(f"- {line}" for line in card["limits"])
    rows = "\n".join(f"| {name} | {value} |" for name, value in flatten(metrics))
    table = f"| measure | value |\n|---|---|\n{rows}" if rows else "Not measured yet."
    return f"""---
language: en
license: cc-by-nc-sa-4.0
library_name: transformers
pipeline_tag: text-generation
---
# opinion-lm

{card["what"][:1].upper() + card["what"][1:]}.

{card["architecture"]}, {card["parameters"]:,} parameters, {card["layers"]} layers, vocabulary
{card["vocab_size"]}, {card["dtype"]}. Trained from scratch: {training["steps"]} steps,
{training["tokens_seen"]:,} tokens, {training["hours"]} hours on {training["hardware"]}.

## Data and licences

{data}

The weights: {card["licence"]}.

## Measured on held-out prompts, questions and topics

{table}

Made by `python -m models.opinion_lm evaluate`; the same figures are in `card.json`.

## Limits

{limits}
"""


def flatten(metrics: Mapping[str, Any], head: str = "") -> list[tuple[str, Any]]:
    """Nested figures as rows of dotted names."""
    rows: list[tuple[str, Any]] = []
    for name, value in metrics.items():
        full = f"{head}.{name}" if head else name
        rows += flatten(value, full) if isinstance(value, Mapping) else [(full, value)]
    return rows
