"""Torchrun: training on several processes, one or more a machine, that `torchrun -m linkodds fit ...` starts."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from linkodds.sharded.worker_group import Part

_PATIENCE = timedelta(days=7)  # the others wait while the first process prepares


def is_started_by_torchrun() -> bool:
    """Whether this process is one of several that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_restarted() -> bool:
    """Whether torchrun started the processes again after one of them was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@dataclass(frozen=True)
class TorchCrew:
    """All processes of a torchrun, over gloo.

    Args:
        rank: of this process.
        world: how many there are.
        sizes: bytes that this process sent, each time.
    """

    rank: int
    world: int
    sizes: list[int] = field(default_factory=list, compare=False, repr=False)

    @staticmethod
    def joined() -> "TorchCrew":
        """Meet the other processes.

        After a restart the store that they meet in still holds the addresses of dead processes, so each attempt has names of
        its own there. The count of attempts is that of one machine: on several, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
        """
        if not dist.is_initialized():
            store, rank, world = next(dist.rendezvous("env://", timeout=_PATIENCE))  # type: ignore[attr-defined]
            named = dist.PrefixStore(f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)  # type: ignore[attr-defined]
            dist.init_process_group("gloo", store=named, rank=rank, world_size=world, timeout=_PATIENCE)
        return TorchCrew(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """See `WorkerGroup.is_first`."""
        return self.rank == 0

    @property
    def sent(self) -> int:
        """See `WorkerGroup.sent`."""
        return sum(self.sizes)

    def wait(self) -> None:
        """Until every process is here."""
        dist.barrier()

    def leave(self) -> None:
        """Part from the others."""
        dist.destroy_process_group()

    def gathered(self, work: Callable[[int], Part], count: int) -> list[Part]:
        """See `WorkerGroup.gathered`: each process does an equal share and sends it to all others."""
        each = -(-count // self.world)
        # A process without a part does the last one once more: what is sent has one shape.
        mine = [work(min(self.rank * each + place, count - 1)) for place in range(each)]
        sent = torch.from_numpy(np.stack(mine))
        received = [torch.empty_like(sent) for _ in range(self.world)]
        dist.all_gather(received, sent)
        self.sizes.append(sent.nbytes * (self.world - 1))
        return [part for of_rank in received for part in of_rank.numpy()][:count]
