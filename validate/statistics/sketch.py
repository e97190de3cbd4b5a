"""Products of wide features without d x d: a count sketch, several times over, so that its error is seen.

A sketch S (d, s) has one entry of +-1 in each row, in a column drawn at random. With A = X^T X and B = X^T Y, and
sketches S, S' drawn apart,

    E |S^T B S'|_F^2 = |B|_F^2
    E |S^T A S|_F^2 = |A|_F^2 (1 + 1/s) + ((tr A)^2 - 2 sum_i A_ii^2)/s

where tr A and the A_ii are known exactly. Source: Charikar, Chen and Farach-Colton, "Finding frequent items in data
streams", 2002; Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009 (arXiv 0902.2206),
for products. The second line follows from E of four signs, which is 1 where they pair up and else 0.
"""

import torch

COPIES = 8  # sketches of one layer, drawn apart


class Sketch:
    """Sketch(d, wide, seed)(X) is X (1, m, d) for d <= wide, exactly; else COPIES sketches (COPIES, m, s) of it."""

    def __init__(self, dim: int, wide: int, seed: int, device: torch.device | str = "cpu"):
        self.exact = dim <= wide
        self.copies, self.size = (1, dim) if self.exact else (COPIES, max(1, wide // 4))
        if not self.exact:
            draw = torch.Generator(device="cpu").manual_seed(seed)
            shape = (self.copies, dim)
            self.columns = torch.randint(self.size, shape, generator=draw, device="cpu").to(device)
            signs = 2 * torch.randint(2, shape, generator=draw, device="cpu", dtype=torch.int8) - 1
            self.signs = signs.to(device)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        """The sketches of rows X (m, d), in their dtype."""
        if self.exact:
            return X[None]
        sketches = X.new_zeros(self.copies, len(X), self.size)
        for sketch, columns, signs in zip(sketches, self.columns, self.signs, strict=True):
            sketch.index_add_(1, columns, X * signs)
        return sketches

    def energy(self, products: torch.Tensor, diagonal: torch.Tensor) -> torch.Tensor:
        """(copies,) |X^T X|_F^2, exact or without bias, of the products (copies, s, s) of the sketches of X.

        diagonal  (d,) the squared norms A_ii of the columns of X
        """
        found = products.square().sum((1, 2))
        if self.exact:
            return found
        known = diagonal.sum().square() - 2 * diagonal.square().sum()
        return (found - known / self.size) / (1 + 1 / self.size)
