"""A Problem: one instance of the unconstrained feature model."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import torch

from .errors import Call, InputError, Setting, Words, require
from .landscape import Jet, Landscape
from .losses import CrossEntropy, Loss, of_plain
from .losses.loss import shift_direction
from .losses.own import completed, has_conjugate
from .point import Point

MOST_CLASSES = 10_000_000  # class counts are kept one by one
LARGEST_DECAY = 1e15  # where squares of decays and of points are still far from overflow
LEAST = 1e-15  # of `drop`: nearer to its infimum than that rounding lets no f come
SMALLEST_DECAY = 1e-12  # where verdicts in float64 were seen to hold


@dataclass(frozen=True)
class Problem:
    """Minimise over free W (K, d), H (N, d), b (K,)

        f(W, H, b) = (1/N) sum_i loss(W h_i + b, t_i) + lW/2 |W|_F^2 + lH/2 |H|_F^2 + lb/2 |b|^2

    Source: Zhu et al. 2021 (arXiv 2105.02375), the regularised cross-entropy problem over free features.

    class_counts  n_t >= 1 samples of each of T types; N is their sum. A type is one of K >= 2 classes (T = K), but for
                  losses with targets of their own, (T, K)
    dim           feature dimension d >= 1
    lambda_w, lambda_h > 0, lambda_b >= 0   weight decays (coefficients of half the squared norms)
    bias          False removes b (and lambda_b with it)
    loss          one of `ufm.losses`, or your own (`ufm.losses.own`); cross-entropy by default

    Raises InputError, repeating the offending values.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> problem.num_classes, problem.num_samples, problem.num_variables
    (3, 6, 21)
    """

    class_counts: tuple[int, ...]
    dim: int
    lambda_w: float
    lambda_h: float
    lambda_b: float = 0.0
    bias: bool = True
    loss: Loss = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        try:
            counts = tuple(self.class_counts)
        except TypeError:
            raise InputError(
                (Setting("class_counts"), f" must list n_k for every class, got {self.class_counts!r}")
            ) from None
        object.__setattr__(self, "loss", completed(self.loss))
        self._require_fit(len(counts))
        bad = [n for n in counts if not _whole(n) or n < 1]
        one, n = ("class", "n_k") if self.loss.shape is None else ("type", "n_t")
        require(not bad, f"every {one} needs a whole number {n} >= 1 of samples, got {bad[:5]}")
        object.__setattr__(self, "class_counts", tuple(int(n) for n in counts))
        require(
            _whole(self.dim) and self.dim >= 1, f"the feature dimension d must be a whole number >= 1, got {self.dim!r}"
        )
        for name in ("lambda_w", "lambda_h"):
            value = getattr(self, name)
            reason = self._undecayed() if _number(value) and value == 0 else ()
            require(
                _number(value) and value > 0, (Setting(name), f" must be a finite number > 0, got {value!r}"), reason
            )
        require(
            _number(self.lambda_b) and self.lambda_b >= 0,
            (Setting("lambda_b"), f" must be a finite number >= 0, got {self.lambda_b!r}"),
        )
        for name in ("lambda_w", "lambda_h", "lambda_b"):
            value = getattr(self, name)
            require(value <= LARGEST_DECAY, (Setting(name), f" must be at most {LARGEST_DECAY:g}, got {value!r}"))
            object.__setattr__(self, name, float(value))
        object.__setattr__(self, "dim", int(self.dim))
        escaping = getattr(self.loss, "escaping", []) if self.bias and self.lambda_b == 0 else []
        require(
            not escaping,
            f"f has no minimiser: nothing decays the bias of class {(*escaping, '')[0]}, which has one and the same "
            "target in every type",
            ("give a ", Setting("lambda_b"), " > 0, or leave that class out"),
        )

    def _undecayed(self) -> Words:
        """Why f without the decay of W or H is no problem, and what to take instead (docs/theory, section 12.5)."""
        W, H = Setting("lambda_w"), Setting("lambda_h")
        if self.lambda_w != self.lambda_h:
            return (
                "f has no minimiser where one of them is 0, as W and H scale against each other; give ",
                W,
                " and ",
                H,
            )
        if isinstance(self.loss, CrossEntropy):
            return ("without them f falls to 0 at infinity; take the limit, ", Call("ufm.models.Ridgeless"))
        return (
            "without them f is the same at W A, H A^-T for every A and has no isolated minimiser; give ",
            W,
            " and ",
            H,
        )

    def _require_fit(self, num_types: int) -> None:
        """Raise InputError unless the loss takes so many types, of two classes or more."""
        if self.loss.shape is None:
            require(num_types >= 2, f"need K >= 2 classes, got K = {num_types}")
            return
        T, K = self.loss.shape
        require(K >= 2, f"need K >= 2 classes, got a loss with K = {K}")
        counts = Setting("class_counts")
        require(
            num_types == T,
            (f"the loss {self.loss.name!r} has {T} types of sample, and ", counts, f" lists {num_types}"),
            ("give ", counts, f" {T} numbers, one a type"),
        )

    @classmethod
    def balanced(cls, num_classes: int, per_class: int, dim: int, **settings: Any) -> "Problem":
        """K classes of n samples each; the other settings as for Problem."""
        require(
            _whole(num_classes) and num_classes >= 2,
            ("need K >= 2 classes, got ", Setting("num_classes"), f" = {num_classes!r}"),
        )
        require(num_classes <= MOST_CLASSES, f"K must be at most {MOST_CLASSES:,}, got {num_classes:,}")
        return cls(class_counts=(per_class,) * num_classes, dim=dim, **settings)

    @property
    def num_classes(self) -> int:
        """K"""
        return self.num_types if self.loss.shape is None else self.loss.shape[1]

    @property
    def num_types(self) -> int:
        """T, which is K where a type of sample is a class."""
        return len(self.class_counts)

    @property
    def num_samples(self) -> int:
        """N"""
        return sum(self.class_counts)

    @property
    def num_variables(self) -> int:
        """K d + N d, and K more with a bias."""
        return (self.num_classes + self.num_samples) * self.dim + self.num_classes * self.bias

    @property
    def is_balanced(self) -> bool:
        return len(set(self.class_counts)) == 1

    @property
    def per_class(self) -> int:
        """n, of a balanced problem; InputError otherwise."""
        require(
            self.is_balanced, ("the classes are not balanced: ", Setting("class_counts"), f" = {self.class_counts}")
        )
        return self.class_counts[0]

    @property
    def labels(self) -> torch.Tensor:
        """(N,) int64 on the CPU, sorted: the class of each sample, or its type."""
        return torch.repeat_interleave(torch.tensor(self.class_counts, device="cpu"))

    @property
    def kinds(self) -> tuple[int, ...]:
        """(K,) numbers: classes of one number have equal n_k and may be exchanged, their types with them."""
        alike = self.loss.kinds(self.num_classes)
        if self.num_types == self.num_classes and len(set(alike)) == 1:
            return self.class_counts
        counts = self.class_counts if self.num_types == self.num_classes else range(self.num_classes)
        seen: dict[Any, int] = {}
        return tuple(seen.setdefault(kind, len(seen)) for kind in zip(counts, alike, strict=True))

    @property
    def largest_rank(self) -> int:
        """The most that the rank of W can be at a critical point, for d that large or larger.

        W is the product of G^T with H, and H that of G with W: it is at most T and K. A loss that ignores a shift of
        the logits takes one from K (the columns of W sum to 0), and a bias without decay one from T (the features do)
        (docs/theory, section 10.1).
        """
        free = self.bias and self.lambda_b == 0
        return min(self.num_classes - (self.shift is not None), self.num_types - free)

    @property
    def shift(self) -> torch.Tensor | None:
        """(K,) a direction along which the loss ignores all changes of the logits; None where there is none."""
        return shift_direction(self.loss, self.num_classes)

    @property
    def bias_is_free(self) -> bool:
        """Whether b moves along `shift` without a change of f."""
        return self.bias and self.lambda_b == 0 and self.shift is not None

    @cached_property
    def floor(self) -> float:
        """The infimum of the loss, a mean over the samples (0 for a loss without conjugate): below f everywhere."""
        if not has_conjugate(self.loss):
            return 0.0
        zeros, types, shares = self._of_each_kind()
        return float(shares @ self.loss.negative_conjugate(zeros, types))

    @cached_property
    def drop(self) -> float:
        """f(0, 0, 0) - floor: log K for cross-entropy. At most that much is left for the decays at a minimiser."""
        zeros, types, shares = self._of_each_kind()
        return float(shares @ self.loss.values(zeros, types)) - self.floor

    def _of_each_kind(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(logits 0, types, shares of the samples): one type of all where types are alike, else each."""
        one = self.loss.shape is None and len(set(self.loss.kinds(2))) == 1
        rows = 1 if one else self.num_types
        counts = torch.tensor(self.class_counts[:rows], dtype=torch.float64, device="cpu")
        zeros = torch.zeros(rows, self.num_classes, dtype=torch.float64, device="cpu")
        return zeros, torch.arange(rows, device="cpu"), counts / counts.sum()

    @property
    def ridge(self) -> float:
        """sqrt(lW lH): the weight of the nuclear norm of W H^T in the convex relaxation."""
        return math.sqrt(self.lambda_w * self.lambda_h)

    @property
    def stretch(self) -> float:
        """(lW/lH)^(1/4): (stretch W, H/stretch, b) are the coordinates in which both weight decays are `ridge`."""
        return (self.lambda_w / self.lambda_h) ** 0.25

    @cached_property
    def even(self) -> "Problem":
        """The problem in those coordinates: the same values, and the same critical points of the same indices."""
        return replace(self, lambda_w=self.ridge, lambda_h=self.ridge)

    def evened(self, point: Point) -> Point:
        """A point of this problem as one of `even`."""
        return replace(point, W=self.stretch * point.W, H=point.H / self.stretch)

    def unevened(self, point: Point) -> Point:
        """A point of `even` as one of this problem."""
        return replace(point, W=point.W / self.stretch, H=self.stretch * point.H)

    def require_decidable(self) -> None:
        """Raise InputError where the decays are too small for verdicts in float64."""
        small = self.ridge < SMALLEST_DECAY * (1 - 1e-9) or 0 < self.lambda_b < SMALLEST_DECAY
        require(
            not small,
            (
                f"verdicts in float64 need sqrt(lW lH) and lb (or 0) >= {SMALLEST_DECAY:g}, the smallest decay; got ",
                *(Setting("lambda_w"), f" = {self.lambda_w:g}, ", Setting("lambda_h"), f" = {self.lambda_h:g}, "),
                *(Setting("lambda_b"), f" = {self.lambda_b:g}"),
            ),
        )

    def settings(self) -> dict[str, Any]:
        """What defines the problem, as plain data for JSON; n_k is listed once when balanced."""
        alike = self.is_balanced and self.num_types == self.num_classes
        return {
            "num_classes": self.num_classes,
            "per_class": self.class_counts[0] if alike else list(self.class_counts),
            "dim": self.dim,
            "lambda_w": self.lambda_w,
            "lambda_h": self.lambda_h,
            "lambda_b": self.lambda_b,
            "bias": self.bias,
            "loss": self.loss.to_plain(),
        }

    to_plain = settings

    @classmethod
    def of_plain(cls, settings: dict[str, Any]) -> "Problem":
        """The problem that `settings` describes. Raises InputError as Problem does, and for an unknown loss."""
        K, per_class = settings["num_classes"], settings["per_class"]
        require(
            isinstance(per_class, list) or 2 <= K <= MOST_CLASSES, f"K must lie in 2 .. {MOST_CLASSES:,}, got {K!r}"
        )
        counts = tuple(per_class) if isinstance(per_class, list) else (per_class,) * K
        names = ("dim", "lambda_w", "lambda_h", "lambda_b", "bias")
        return cls(counts, **{name: settings[name] for name in names}, loss=of_plain(settings["loss"]))

    def landscape(
        self,
        *,
        collapsed: bool = False,
        labels: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Landscape:
        """The objective on flat vectors, over all N features or (collapsed) over one a type."""
        if collapsed:
            labels = torch.arange(self.num_types, device=device)
            counts = torch.tensor(self.class_counts, dtype=dtype, device=device)
        else:
            labels = self.labels if labels is None else labels
            counts = torch.ones(self.num_samples, dtype=dtype, device=device)
        return Landscape(
            labels=labels.to(device=device, dtype=torch.int64),
            counts=counts,
            num_samples=self.num_samples,
            num_classes=self.num_classes,
            dim=self.dim,
            lambda_w=self.lambda_w,
            lambda_h=self.lambda_h,
            lambda_b=self.lambda_b,
            bias=self.bias,
            loss=self.loss,
            floor=self.floor,
            least=LEAST * self.drop,
        )

    def landscape_at(self, point: Point) -> tuple[Landscape, torch.Tensor]:
        """(landscape whose rows are the rows of point.H, the point as its flat vector)."""
        f = self.landscape(
            collapsed=self._is_collapsed(point), labels=point.labels, dtype=point.W.dtype, device=point.W.device
        )
        return f, f.pack(point.W, point.H, point.b)

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f(W, H, b), differentiable by autograd. A collapsed H (T, d) stands for all N features."""
        f, x = self.landscape_at(point)
        return f.value(x)

    def jet(self, point: Point) -> Jet:
        """f to second order at the point, over its own rows of H."""
        f, x = self.landscape_at(point)
        return f.jet(x)

    def gradient(self, point: Point) -> Point:
        """The gradient of f, as a Point: its H row is the gradient in the feature of one sample."""
        jet = self.jet(point)
        return self._point(jet.landscape, jet.gradient, point)

    def relative_gradient(self, point: Point) -> float:
        """|grad f| / sqrt(4 sqrt(lW lH) (f - floor)) in the coordinates of `even`, for any decays and level."""
        return self.jet(point).relative_gradient

    def hessian_vector_product(self, point: Point, direction: Point) -> Point:
        """The Hessian of f at `point` times `direction`, both with the same rows of H."""
        f, x = self.landscape_at(point)
        return self._point(f, f.jet(x).hvp(f.pack(direction.W, direction.H, direction.b)), point)

    def curvature(self, point: Point, direction: Point) -> float:
        """The second form of f at `point` along `direction`, over |direction|^2 in all N features."""
        f, x = self.landscape_at(point)
        v = f.pack(direction.W, direction.H, direction.b)
        return float(v @ f.jet(x).hvp(v) / (v @ v))

    def class_means(self, point: Point) -> Point:
        """The collapsed point: every feature replaced by the mean of its type (H becomes (T, d))."""
        if self._is_collapsed(point):
            return Point(point.W, point.H, point.b)
        labels = (self.labels if point.labels is None else point.labels).to(point.H.device)
        sums = point.H.new_zeros(self.num_types, self.dim).index_add_(0, labels, point.H)
        return Point(point.W, sums / sums.new_tensor(self.class_counts)[:, None], point.b)

    def expand(self, point: Point) -> Point:
        """The same point with one row of H a sample, sorted by type."""
        if not self._is_collapsed(point):
            return point
        return Point(point.W, point.H[self.labels.to(point.H.device)], point.b)

    def _is_collapsed(self, point: Point) -> bool:
        """Whether H has one row a type; InputError when the point does not fit the problem."""
        rows, K, T, N = point.H.shape[0], self.num_classes, self.num_types, self.num_samples
        require(
            point.W.shape == (K, self.dim),
            f"the problem has K = {K}, d = {self.dim}, but W has shape {tuple(point.W.shape)}",
        )
        if point.labels is not None:
            labels = point.labels.cpu()
            found = tuple(torch.bincount(labels, minlength=T).tolist())
            if found == self.class_counts:
                return False
            ordered = rows == T and labels.tolist() == list(range(T))
            require(ordered, f"the labels count {found} samples a class, but class_counts is {self.class_counts}")
            return True
        one = "K" if self.loss.shape is None else "T"
        require(rows in (N, T), f"H must have N = {N} or {one} = {T} rows, got {rows}")
        return rows != N

    @staticmethod
    def _point(f: Landscape, x: torch.Tensor, like: Point) -> Point:
        return Point(*f.unpack(x), like.labels)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
