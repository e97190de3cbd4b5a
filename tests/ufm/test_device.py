"""Everything computes where its Points are and in their dtype: on CUDA where there is one.

On a CPU the default device is set to "meta", whose tensors hold no numbers: code that makes a tensor without
saying where then fails, as it would fail beside tensors on CUDA.
"""

import tempfile
from dataclasses import is_dataclass, replace
from unittest import mock

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, orthogonal, random_point
from ufm import Point, Problem
from ufm.atlas import explore
from ufm.certificates import descent_direction
from ufm.solvers.bias import with_optimal_bias
from ufm.solvers.critical import narrow_solution, origin
from ufm.solvers.minimize import random_point as draw
from ufm.spectra.rates import gradient_descent, predicted_rate

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none here")
PROBLEM = PROBLEMS["balanced"]
FREE_BIAS = replace(PROBLEM, lambda_b=0.0)
ORDER = torch.randperm(PROBLEM.num_samples, generator=torch.Generator().manual_seed(0))
NOISE = random_point(PROBLEM, seed=1, scale=1e-2)
MINIMIZER = ufm.global_minimizer(PROBLEM)
POINTS = {
    "random": random_point(PROBLEM),
    "direction": random_point(PROBLEM, seed=2),
    "shuffled": replace(random_point(PROBLEM), labels=PROBLEM.labels[ORDER]),
    "near": Point(MINIMIZER.W + NOISE.W, PROBLEM.expand(MINIMIZER).H + NOISE.H, NOISE.b),
    "minimizer": MINIMIZER,
    "saddle": narrow_solution(PROBLEM, 2).point,
    "origin": origin(PROBLEM),
}
ROTATION = orthogonal(PROBLEM.dim)


def invariants(point: Point) -> tuple[torch.Tensor, ...]:
    """What rotations of the features leave of a point."""
    return point.W @ point.W.T, point.H @ point.W.T, point.b


def solved(solution: ufm.Solution):
    return solution.converged, solution.history[0].value, solution.value, invariants(solution.point)


def certified(certificate: ufm.Certificate):
    # The signs of singular vectors are arbitrary.
    direction = certificate.direction
    return certificate.plain(), direction and invariants(direction)


def descended(found: tuple[Point, float]):
    direction, curvature = found
    return invariants(direction), curvature


def ends_of_a_saddle(at: dict[str, Point]) -> ufm.Spectrum:
    with mock.patch("ufm.spectra.blocks.DENSE", 0):
        return ufm.spectrum(PROBLEM, replace(at["saddle"]))


def through_a_file(point: Point) -> Point:
    with tempfile.TemporaryDirectory() as folder:
        point.save(f"{folder}/point.safetensors")
        return Point.load(f"{folder}/point.safetensors").to(point.W.device)


OPERATIONS = {
    "logits": lambda at: at["random"].logits,
    "padded": lambda at: at["random"].padded(9),
    "rotated": lambda at: at["random"].rotated(ROTATION.to(at["random"].W)),
    "double": lambda at: at["random"].to(torch.float32).double(),
    "save and load": lambda at: through_a_file(at["shuffled"]),
    "objective": lambda at: PROBLEM.objective(at["random"]),
    "objective of a shuffled point": lambda at: PROBLEM.objective(at["shuffled"]),
    "objective of a collapsed point": lambda at: PROBLEM.objective(at["saddle"]),
    "gradient": lambda at: PROBLEM.gradient(at["shuffled"]),
    "hessian_vector_product": lambda at: PROBLEM.hessian_vector_product(at["random"], at["direction"]),
    "curvature": lambda at: PROBLEM.curvature(at["random"], at["direction"]),
    "class_means": lambda at: PROBLEM.class_means(at["shuffled"]),
    "expand": lambda at: PROBLEM.expand(at["minimizer"]),
    "optimal bias": lambda at: with_optimal_bias(PROBLEM, at["random"]),
    "minimize": lambda at: solved(ufm.minimize(PROBLEM, start=at["near"], tol=1e-13)),
    "minimize, free": lambda at: solved(ufm.minimize(PROBLEM, start=at["near"], tol=1e-13, reduce=False)),
    "lower_bound": lambda at: ufm.lower_bound(PROBLEM, at["random"]),
    "lower_bound, free bias": lambda at: ufm.lower_bound(FREE_BIAS, at["random"]),
    "certify a minimiser": lambda at: certified(ufm.certify(PROBLEM, at["minimizer"])),
    "certify a saddle": lambda at: certified(ufm.certify(PROBLEM, at["saddle"])),
    "certify another point": lambda at: certified(ufm.certify(PROBLEM, at["random"])),
    "descent_direction": lambda at: descended(descent_direction(PROBLEM, at["saddle"])),
    "spectrum of a minimiser": lambda at: ufm.spectrum(PROBLEM, at["minimizer"]),
    "spectrum of the origin": lambda at: ufm.spectrum(PROBLEM, at["origin"]),
    "spectrum of a saddle": lambda at: ufm.spectrum(PROBLEM, at["saddle"]).merged(),
    "ends of a saddle": ends_of_a_saddle,
    "spectrum of another point": lambda at: ufm.spectrum(PROBLEM, at["random"], k=3),
    "gradient_descent": lambda at: gradient_descent(PROBLEM, at["near"], step=1.0, iterations=5),
    "predicted_rate": lambda at: predicted_rate(ufm.spectrum(PROBLEM, at["minimizer"])),
}


def explored() -> list:
    """Of the atlas of three classes, what does not depend on the choice of a representative."""
    found = explore(
        Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2), until_quiet=20, connect=True
    )
    facts = [(p.level, p.copies, p.index, p.singular_values, p.logits, invariants(p.point)) for p in found.points]
    return [facts, found.starts, [(s.name, s.value) for s in found.sums], [line.end for line in found.descents]]


def swept() -> zip:
    found = ufm.sweep([PROBLEM, PROBLEMS["imbalanced"], replace(PROBLEM, lambda_w=0.01)], tol=1e-13)
    return zip(found, found.certificates, strict=True)


# Without a Point to take the device from: on the CPU, whatever the default device is.
ON_THE_CPU = {
    "minimize from a seed": lambda: solved(ufm.minimize(PROBLEM, seed=3, tol=1e-13)),
    "random_point": lambda: draw(replace(PROBLEM, bias=False)),
    "global_minimizer": lambda: ufm.global_minimizer(PROBLEM),
    "global_minimizer, collapsed": lambda: ufm.global_minimizer(PROBLEMS["strong decay"]),
    "sweep": lambda: [(solved(one), certificate) for one, certificate in swept()],
    "origin": lambda: origin(PROBLEMS["imbalanced"]),
    "narrow_solution": lambda: solved(narrow_solution(PROBLEM, 2)),
    "spectrum": lambda: ufm.spectrum(PROBLEM).expanded(),
    "labels": lambda: PROBLEM.labels,
    "explore": explored,
    "verify": lambda: [
        (v.claim, v.status) for v in ufm.verify(Problem.balanced(3, 2, 4, lambda_w=5e-3, lambda_h=5e-3))
    ],
}


class ForgetfulLoss(ufm.losses.CrossEntropy):
    """Makes a tensor without saying where."""

    def expand(self, logits, labels):
        values, slopes, curvature = super().expand(logits, labels)
        return values + torch.zeros(len(labels)), slopes, curvature


def moved(*args) -> dict[str, Point]:
    return {name: point.to(*args) for name, point in POINTS.items()}


def parts(result) -> list:
    """The tensors, numbers and words that a result is made of."""
    if is_dataclass(result):
        result = vars(result)
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return [part for item in result for part in parts(item)]
    return [result]


def assert_same(found, expected, device: str) -> None:
    """Equal to 1e-10, and on `device`."""
    for one, other in zip(parts(found), parts(expected), strict=True):
        if isinstance(other, torch.Tensor):
            assert one.device.type == device
            torch.testing.assert_close(one.cpu(), other, rtol=1e-10, atol=1e-10)
        else:
            assert one == (pytest.approx(other, rel=1e-10, abs=1e-10) if isinstance(other, float) else other)


@CUDA
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_cuda_computes_what_the_cpu_does(operation):
    found, expected = operation(moved("cuda")), operation(POINTS)
    assert_same(found, expected, "cpu" if isinstance(found, ufm.Spectrum) else "cuda")


@CUDA
def test_a_seed_means_the_same_start_on_cuda():
    found, expected = (ufm.minimize(PROBLEM, seed=3, tol=1e-13, device=device) for device in ("cuda", None))
    assert_same(solved(found), solved(expected), "cuda")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_nothing_is_made_on_the_default_device(operation):
    expected = operation(POINTS)
    with torch.device("meta"):
        found = operation(POINTS)
    assert_same(found, expected, "cpu")


@pytest.mark.parametrize("make", ON_THE_CPU.values(), ids=ON_THE_CPU)
def test_without_a_point_the_cpu_is_taken(make):
    expected = make()
    with torch.device("meta"):
        found = make()
    assert_same(found, expected, "cpu")


def test_a_tensor_made_on_the_default_device_is_seen():
    forgetful = replace(PROBLEM, loss=ForgetfulLoss())
    assert float(forgetful.objective(POINTS["random"])) == float(PROBLEM.objective(POINTS["random"]))
    with torch.device("meta"), pytest.raises(RuntimeError, match="meta"):
        forgetful.gradient(POINTS["random"])


def test_minimize_moves_its_start():
    """To "meta", which every machine has and no iteration can start on."""
    steps = []
    with pytest.raises(RuntimeError, match="meta"):
        ufm.minimize(PROBLEM, device="meta", on_step=steps.append)
    assert not steps


AS_THEY_COME = ("logits", "padded", "rotated", "objective", "gradient", "hessian_vector_product", "class_means")
AS_THEY_COME += ("expand", "optimal bias", "gradient_descent")
IN_SINGLE_PRECISION = {name: OPERATIONS[name] for name in AS_THEY_COME} | {
    "minimize": lambda at: invariants(ufm.minimize(PROBLEM, start=at["near"], tol=1e-4).point)
}


@pytest.mark.parametrize("operation", IN_SINGLE_PRECISION.values(), ids=IN_SINGLE_PRECISION)
def test_single_precision_stays_single(operation):
    for one, other in zip(parts(operation(moved(torch.float32))), parts(operation(POINTS)), strict=True):
        if isinstance(other, torch.Tensor) and other.is_floating_point():
            assert one.dtype == torch.float32
            torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


PROOFS = ("lower_bound", "certify another point", "spectrum of another point", "spectrum of the origin")


@pytest.mark.parametrize("name", PROOFS)
def test_proofs_are_made_in_double_precision(name):
    """Of the same numbers: rounding a point to single precision changes it, computing with it does not."""
    single = moved(torch.float32)
    found = OPERATIONS[name](single)
    assert_same(found, OPERATIONS[name]({name: point.double() for name, point in single.items()}), "cpu")
    assert all(part.dtype != torch.float32 for part in parts(found) if torch.is_tensor(part))


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ufm.InputError, match=rf"^torch cannot compute on '{device}' here \(.+\); use device='cpu'$"):
        ufm.minimize(ufm.Problem((2, 2), 2, 1e-2, 1e-2, 1e-2), device=device)
