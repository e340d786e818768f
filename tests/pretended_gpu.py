"""A GPU that is not there: CPU memory under another device's name, as strict as a real one.

Its tensors compute on the CPU and remember that they are not there. What a GPU would refuse is
refused: tensors of two devices in one operation (numbers in tensors of no dimension may mix, as on
a GPU), NumPy of its tensors, and, while `repeatable`, what has no deterministic way on CUDA. It
finds forgotten `.to(device)` and streams that are not waited for; of speed, rounding and memory
it says nothing.

torch lets Python register one more device for the rest of the process, before anything has gone
backward there: so it is done when this file is imported, that is, before the first test runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretended"

# torch.use_deterministic_algorithms: "will throw a RuntimeError", on CUDA alone.
_NOT_DETERMINISTIC = {
    f"aten::{name}"
    for name in (
        "_adaptive_avg_pool2d_backward",
        "_adaptive_avg_pool3d_backward",
        "_ctc_loss_backward",
        "_embedding_bag_backward",
        "adaptive_max_pool2d_backward",
        "avg_pool3d_backward",
        "cumsum",
        "fractional_max_pool2d_backward",
        "fractional_max_pool3d_backward",
        "grid_sampler_2d_backward",
        "grid_sampler_3d_backward",
        "histc",
        "kthvalue",
        "max_pool3d_with_indices_backward",
        "max_unpool2d",
        "max_unpool3d",
        "nll_loss2d_forward",
        "put_",
        "reflection_pad1d_backward",
        "reflection_pad2d_backward",
        "reflection_pad3d_backward",
        "replication_pad1d_backward",
        "replication_pad2d_backward",
        "replication_pad3d_backward",
        "upsample_bicubic2d_backward",
        "upsample_bilinear2d_backward",
        "upsample_linear1d_backward",
        "upsample_trilinear3d_backward",
    )
}
_ACROSS_DEVICES = {"aten::_to_copy", "aten::copy_"}


class DeviceError(RuntimeError):
    """What a GPU would refuse."""


class OnGPU(Tensor):
    """A tensor of the pretended device; `there` is its memory."""

    there: Tensor

    @staticmethod
    def __new__(cls, there: Tensor) -> OnGPU:
        found = Tensor._make_wrapper_subclass(
            cls,
            there.shape,
            strides=there.stride(),
            storage_offset=there.storage_offset(),
            dtype=there.dtype,
            device=torch.device(NAME, 0),
        )
        found.there = there.detach()
        return found

    is_cuda = True

    def data_ptr(self) -> int:
        return self.there.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.there.untyped_storage()

    def tolist(self) -> Any:
        return self.there.tolist()

    def record_stream(self, stream: Stream) -> None:  # type: ignore[override]
        stream.kept.append(self.data_ptr())

    def numpy(self, *, force: bool = False) -> Any:
        raise DeviceError("a GPU's tensor has no NumPy array: .cpu() first")

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGPU({self.there!r})"

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operation, args, kwargs or {})


class Stream:
    """Stands for `torch.cuda.Stream`: what is put onto it waits until somebody synchronises.

    Attributes:
        current: the stream that operations go to; None: the default one, which waits for nothing.
    """

    current: Stream | None = None

    def __init__(self, device: Any = None) -> None:
        self.waiting: list[Callable[[], Any]] = []
        self.kept: list[int] = []  # addresses of memory that is not given away before
        self.follows = False

    def wait_stream(self, other: Any) -> None:
        self.follows = True

    def do(self) -> None:
        """All that waits."""
        while self.waiting:
            self.waiting.pop(0)()

    def copy(self, target: Tensor, source: OnGPU) -> None:
        """Copy, some time, what lies there then."""
        assert self.follows, "copied before the default stream has computed it"

        def late() -> None:
            assert source.data_ptr() in self.kept, "copied from memory that may be another's by now"
            target.copy_(source.there)

        target.fill_(torch.nan)
        self.waiting.append(late)


class Event:
    """Stands for `torch.cuda.Event`."""

    def record(self, stream: Stream) -> None:
        self.synchronize = stream.do


@contextmanager
def on_stream(stream: Stream) -> Iterator[None]:
    """Stands for `torch.cuda.stream`."""
    Stream.current = stream
    try:
        yield
    finally:
        Stream.current = None


class _Mode(TorchDispatchMode):
    """Sees operations that make tensors, too."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operation, args, kwargs or {})


class _Backend:
    """What torch asks of every device; to tests that do not pretend it is not there."""

    in_use = False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return _Backend.in_use

    def _is_in_bad_fork(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass


def _register() -> bool:
    try:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
    except ImportError:
        return False
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    return True


_THERE = _register()


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The device, while the context lasts; skips the test where torch cannot have it."""
    if not _THERE:
        pytest.skip("this torch cannot register a device from Python")
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device): made here, then moved
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", on_stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**31))
    monkeypatch.setattr(_Backend, "in_use", True)
    try:
        with _Mode():
            yield torch.device(NAME, 0)
    finally:
        _Backend.in_use = False
        torch._C._set_only_lift_cpu_tensors(before)


def moved(model: nn.Module) -> nn.Module:
    """The model itself, on the device, weights that are shared still shared."""
    known: dict[int, Tensor] = {}

    def move(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        if id(tensor) not in known:
            there: Tensor = OnGPU(tensor.detach())
            if isinstance(tensor, nn.Parameter):
                there = nn.Parameter(there, requires_grad=tensor.requires_grad)
            known[id(tensor)] = there
        return known[id(tensor)]

    for module in model.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = move(parameter)  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            module._buffers[name] = move(buffer)
    return model


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = any(isinstance(x, OnGPU) for x in tensors)
    name = operation.name().split(".")[0]
    if ours:
        _refuse(name, tensors)
    here = ours
    if kwargs.get("device") is not None:
        here = kwargs["device"].type == NAME
        kwargs = kwargs | {"device": torch.device("cpu") if here else kwargs["device"]}
    if kwargs.get("pin_memory"):
        kwargs = kwargs | {"pin_memory": False}
    late = name == "aten::copy_" and len(args) == 3 and args[2] and not isinstance(args[0], OnGPU)
    if late and Stream.current is not None:
        Stream.current.copy(args[0], args[1])
        return args[0]
    plain_args, plain_kwargs = tree_map(_there, (args, kwargs))
    found = operation(*plain_args, **plain_kwargs)
    if name == "aten::copy_":
        return args[0]
    if not here:
        return found
    found = tree_map(lambda x: OnGPU(x) if isinstance(x, Tensor) else x, found)
    return return_and_correct_aliasing(operation, args, kwargs, found) if ours else found


def _refuse(name: str, tensors: list[Tensor]) -> None:
    if name not in _ACROSS_DEVICES:
        strangers = [x for x in tensors if not isinstance(x, OnGPU) and x.dim()]
        if strangers:
            shapes = ", ".join(str(tuple(x.shape)) for x in strangers)
            raise DeviceError(f"{name}: tensors of two devices; those of the CPU have {shapes}")
    if name in _NOT_DETERMINISTIC and torch.get_deterministic_debug_mode():
        raise DeviceError(f"{name} has no deterministic way on CUDA")


def _there(x: Any) -> Any:
    return x.there if isinstance(x, OnGPU) else x
