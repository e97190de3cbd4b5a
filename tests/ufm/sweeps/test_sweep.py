"""ufm.sweep against ufm.minimize, problem by problem; its stack against autograd."""

import random

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_gradient, random_point
from ufm import InputError
from ufm.sweeps.stack import Stack

LOSSES = (
    *(ufm.losses.CrossEntropy(), ufm.losses.MeanSquare(), ufm.losses.BinaryCrossEntropy()),
    *(ufm.losses.LabelSmoothing(0.1), ufm.losses.Focal(1.0)),
)


def drawn(count: int, seed: int = 0) -> list[ufm.Problem]:
    """Random problems of few shapes: balanced and not, d below and above K - 1, with and without a (free) bias."""
    r, found = random.Random(seed), []
    for _ in range(count):
        K = r.choice((3, 4, 5))
        counts = (r.randint(1, 6),) * K if r.random() < 0.5 else tuple(r.randint(1, 6) for _ in range(K))
        decays = (10 ** r.uniform(-3.5, -0.5) for _ in range(2))
        found.append(ufm.Problem(counts, r.choice((2, K - 1, K, 6)), *decays, r.choice((0.0, 1e-3)), r.random() < 0.8))
    return found


def test_a_sweep_ends_where_the_loop_does():
    problems = [*PROBLEMS.values(), *drawn(80)]
    problems += [ufm.Problem((2, 1, 3), 2, 1e-2, 1e-2, 1e-2, loss=loss) for loss in LOSSES]
    for problem, one in zip(problems, ufm.sweep(problems, seed=3), strict=True):
        alone = ufm.minimize(problem, seed=3)
        assert one.converged == alone.converged
        assert one.value == pytest.approx(alone.value, rel=1e-10)
        assert one.point.H.shape == (problem.num_samples, problem.dim)
        assert float(problem.objective(one.point)) == pytest.approx(one.value, rel=1e-12)
        assert problem.relative_gradient(one.point) == pytest.approx(one.relative_grad_norm, rel=1e-3, abs=1e-13)
        assert ufm.certify(problem, one.point).verdict == ufm.certify(problem, alone.point).verdict


def test_the_gradient_of_a_stack_is_that_of_autograd():
    problem = PROBLEMS["imbalanced"]
    other = ufm.Problem((4, 4, 1), problem.dim, 0.1, 0.02, 0.3)
    for place in (0, 1):
        one = (problem, other)[place]
        means = [p.class_means(random_point(p, seed=5)) for p in (problem, other)]
        f = Stack.of([problem, other], one.dim)
        x = f.join(*(torch.stack([getattr(m, name) for m in means]) for name in ("W", "H", "b")))
        expected = autograd_gradient(one, one.expand(means[place]))
        assert float(f.jet(x).size[place]) == pytest.approx(float(expected.norm()), rel=1e-12)


def test_a_loss_of_the_users_own_is_minimised_alone():
    class Mine:
        def values(self, logits, types):
            return torch.nn.functional.cross_entropy(logits, types, reduction="none")

    mine = ufm.Problem((2, 2, 2), 3, 1e-2, 1e-2, 1e-2, loss=Mine())
    (one,) = ufm.sweep([mine])
    assert one.value == ufm.minimize(mine).value


def test_a_tolerance_out_of_range_is_refused():
    with pytest.raises(ufm.InputError, match="tol must lie in"):
        ufm.sweep([PROBLEMS["balanced"]], tol=2.0)


def test_a_model_is_refused_in_one_line():
    with pytest.raises(InputError, match="a sweep is of problems, got a Nonnegative; a model has its own minimize"):
        ufm.sweep(
            [ufm.Problem.balanced(3, 2, 3, lambda_w=0.01, lambda_h=0.01), ufm.models.Nonnegative((2, 2), 2, 0.01, 0.01)]
        )
    assert ufm.sweep([]) == []
