"""Opens the generator that the settings name; loads torch, transformers or vLLM only then."""

from __future__ import annotations

import importlib.util

from service.core.errors import GeneratorUnavailable
from service.core.ports import LanguageModel
from service.settings import Settings


def open_generator(settings: Settings) -> LanguageModel:
    """Load the model or prepare the connections. Call it in the event loop that will use it.

    Raises UnknownModel when a local model cannot be loaded, GeneratorUnavailable without vLLM.
    """
    if settings.generator == "vllm-http":
        from service.adapters.generators.vllm_http import VllmHttpGenerator

        return VllmHttpGenerator(
            settings.generator_urls, model=settings.model, api_key=settings.generator_api_key
        )
    source = settings.model or str(settings.bundled_model)
    if settings.generator == "vllm-engine":
        if importlib.util.find_spec("vllm") is None:
            raise GeneratorUnavailable(
                "GPO_GENERATOR=vllm-engine needs vLLM: pip install 'gpo-serve[vllm]'"
            )
        from service.adapters.generators.vllm_engine import VllmEngineGenerator

        return VllmEngineGenerator.load(source)
    from service.adapters.generators.transformers_local import TransformersGenerator

    return TransformersGenerator.load(source, device=_device(settings.device))


def _device(wanted: str) -> str:
    """The torch device that `auto` means here."""
    import torch

    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
