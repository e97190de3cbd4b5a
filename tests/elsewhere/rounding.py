"""Another processor's arithmetic, on this one: results that are exact stay, all others may change in their last bits.

Where processors, kernels and numbers of threads differ is the order in which they add up, and the last bit of exp and
its like. `Elsewhere(seed)` is a torch dispatch mode that adds in an order of the seed's own, and moves the results of
exp and its like by one unit in the last place or not, as their own bits say. Equal arguments give equal results, as on
any processor. A test that passes here and fails under some seed fails on some processor.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# For each product, the (argument, dimension) pairs that are summed over together.
PRODUCTS = {
    aten.mm: ((0, 1), (1, 0)),
    aten.bmm: ((0, 2), (1, 1)),
    aten.mv: ((0, 1), (1, 0)),
    aten.dot: ((0, 0), (1, 0)),
    aten.addmm: ((1, 1), (2, 0)),
    aten.addmv: ((1, 1), (2, 0)),
    aten.baddbmm: ((1, 2), (2, 1)),
}
# For each sum over dimensions of argument 0, where its list of dimensions stands (none, or an empty one: all).
SUMS = {aten.sum: 1, aten.mean: 1, aten.linalg_vector_norm: 2}
# Functions that no processor computes to the last bit, but for results that are 0 or 1.
FUNCTIONS = {aten.exp, aten.exp_, aten.expm1, aten.log, aten.log_, aten.log1p, aten.logsumexp, aten.xlogy, aten.pow}
FUNCTIONS |= {aten.sigmoid, aten.tanh, aten.sin, aten.cos, aten.acos, aten._softmax, aten._log_softmax}
BITS = {torch.float64: torch.int64, torch.float32: torch.int32}


class Elsewhere(TorchDispatchMode):
    """Each operation of this thread as some other processor, one for each seed, would round it."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.orders: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket
        if name in PRODUCTS:
            args = self._reordered(args, PRODUCTS[name])
        elif name in SUMS:
            listed = args[SUMS[name]] if len(args) > SUMS[name] else None
            args = self._reordered(args, [(0, dim) for dim in listed or range(args[0].ndim)])
        result = operation(*args, **(kwargs or {}))
        return result.copy_(self._moved(result)) if name in FUNCTIONS and result.dtype in BITS else result

    def _reordered(self, args, places) -> list:
        args = list(args)
        for argument, dim in places:
            order = self._order(args[argument].shape[dim]).to(args[argument].device)
            args[argument] = args[argument].index_select(dim, order)
        return args

    def _order(self, length: int) -> torch.Tensor:
        if length not in self.orders:
            generator = torch.Generator("cpu").manual_seed(self.seed + length)
            self.orders[length] = torch.randperm(length, generator=generator, device="cpu")
        return self.orders[length]

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        bits = values.contiguous().view(BITS[values.dtype])
        draw = ((bits + 12345 * self.seed) * 40503 >> 9) & 3
        moved = (bits + (draw == 1).to(bits) - (draw == 2).to(bits)).view(values.dtype)
        return torch.where((values == 0) | (values == 1) | ~torch.isfinite(values), values, moved)
