"""The theory runs without the tools of training and drawing."""

import subprocess
import sys

PROGRAM = """
import sys
for name in ("torchvision", "sklearn", "matplotlib", "rich", "tyro", "jinja2"):
    sys.modules[name] = None  # importing it raises
import ufm
problem = ufm.Problem.balanced(3, 2, 3, lambda_w=5e-3, lambda_h=5e-3)
print(ufm.certify(problem, ufm.minimize(problem).point).verdict)
"""


def test_ufm_alone():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "global minimizer"
