"""The theory runs without the tools of training and drawing; sympy is loaded to derive, python-flint to prove."""

import pytest

import ufm
from tests.installed import run

PROGRAM = """
for name in ("torchvision", "sklearn", "matplotlib", "rich", "tyro", "jinja2", "flint", "pandas", "latex2mathml"):
    sys.modules[name] = None  # importing it raises
import ufm
problem = ufm.Problem.balanced(3, 2, 3, lambda_w=5e-3, lambda_h=5e-3)
print(ufm.certify(problem, ufm.minimize(problem).point).verdict)
print("sympy" in sys.modules, ufm.derive("threshold")[0].formulas[0][1], "sympy" in sys.modules)
"""


def test_ufm_alone(tmp_path):
    result = run(PROGRAM, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["global minimizer", "False 1/K True"]


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="no attribute 'derivation'"):
        _ = ufm.derivation
