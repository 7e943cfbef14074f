"""Weights and optimizer state that are shared among processes (FSDP2), and the way to and from plain tensors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from latentdial.errors import LatentdialError
from latentdial.machine.world import World


def share_out(model: nn.Module, world: World) -> None:
    """Leave each process its share of every weight; layers gather what they need when they run."""
    if world.size == 1:
        raise LatentdialError("--shard shares a net among processes: start with torchrun --nproc-per-node N")
    # the pass holds views of the codes; nothing changes them in place, which is what the warning is about
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    kind = next(model.parameters()).device.type
    mesh = init_device_mesh(kind, (world.size,))
    world.before_leaving.append(getattr(mesh, "_pg_registry", {}).clear)  # torch's caches never let go of the mesh
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params={p for p in model.parameters() if p.ndim == 0})


def average_gradients(parameters: Sequence[nn.Parameter], world: World) -> None:
    """The mean over the processes of the gradients of what is neither shared out nor wrapped."""
    for p in parameters:
        if p.grad is not None:
            p.grad.copy_(world.mean({"": p.grad})[""])


def local(tensor: Tensor) -> Tensor:
    """This process's share of a tensor; all of it where it is not shared."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(parameter: Tensor, share: Tensor) -> Tensor:
    """A share as a tensor of the kind that the parameter is; numbers such as step counts stay as they are."""
    if isinstance(parameter, DTensor) and share.ndim:
        return DTensor.from_local(share.to(parameter.device), parameter.device_mesh, parameter.placements)
    return share


def whole(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights on the CPU, gathered where they are shared; all processes must ask."""
    state = model.state_dict()
    return {n: (t.full_tensor() if isinstance(t, DTensor) else t).detach().cpu().clone() for n, t in state.items()}
