"""Several processes that train one network, as torchrun starts them.

Knows their number and how to speak with each other; without torchrun there is one, which is first.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
PATIENCE = datetime.timedelta(hours=12)  # the others wait while the first one embeds the data


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among `size`, and the device that it trains on."""

    number: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this one evaluates, saves and prints."""
        return self.number == 0

    def share(self, value: T) -> T:
        """The first one's value, in every process."""
        if self.size == 1:
            return value
        box: list[T] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """The values of all processes by number, in every process."""
        if self.size == 1:
            return [value]
        found: list[T] = [value] * self.size
        dist.all_gather_object(found, value)
        return found

    def portion(self, count: int) -> int:
        """How many of `count` are this one's. Raises ValueError when some would have none."""
        if count < self.size:
            raise ValueError(f"--batch {count} is fewer than the {self.size} processes")
        return count // self.size + (self.number < count % self.size)

    @contextmanager
    def one_after_the_other(self) -> Iterator[None]:
        """The first process runs the block before all others do."""
        if self.size > 1 and not self.first:
            dist.barrier()
        yield
        if self.size > 1 and self.first:
            dist.barrier()


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did: NCCL on CUDA, else Gloo."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(device=device)
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
