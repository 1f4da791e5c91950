"""The architectures that a checkpoint may name, as one type.

Knows how each is built, and that a context belongs to the network which encoded it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.batches import Tokens
from models.gpo import GPO, EncodedContext, GPOConfig, Output
from models.published import EncodedTokens, Published, PublishedConfig

RESIDUAL = "gpo-residual/1"
PUBLISHED = "gpo-published/1"
ARCHITECTURES: Mapping[str, type[GPOConfig] | type[PublishedConfig]] = {
    RESIDUAL: GPOConfig,
    PUBLISHED: PublishedConfig,
}

Network = GPO | Published
NetworkConfig = GPOConfig | PublishedConfig
Encoded = EncodedContext | EncodedTokens


def build(config: NetworkConfig) -> Network:
    """A fresh network of these sizes."""
    return GPO(config) if isinstance(config, GPOConfig) else Published(config)


def config_of(arch: str, sizes: Mapping[str, Any]) -> NetworkConfig:
    """The sizes that a card names. Raises TypeError where they are not those of `arch`."""
    return ARCHITECTURES[arch](**sizes)


def arch_of(network: Network) -> str:
    """What the card of such a network says."""
    return RESIDUAL if isinstance(network, GPO) else PUBLISHED


def decode(network: Network, context: Encoded, targets: Tokens) -> Output:
    """Predict targets from a context that the same network encoded; else raises TypeError."""
    if isinstance(network, GPO) and isinstance(context, EncodedContext):
        return network.decode(context, targets)
    if isinstance(network, Published) and isinstance(context, EncodedTokens):
        return network.decode(context, targets)
    raise TypeError(f"{type(network).__name__} cannot read {type(context).__name__}")
