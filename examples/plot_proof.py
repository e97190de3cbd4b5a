r"""
A proof in ball arithmetic
==========================

Verdicts in floating point hold to a tolerance. ``ufm.prove`` goes further: it encloses
an exact critical point near a numerical one by Krawczyk's test
:cite:p:`krawczyk1969newton`, in ball arithmetic, and proves it a global minimiser, a
strict saddle or a local minimiser, with an interval for its value (docs/theory,
sections 9.1 to 9.4). What does not go through is refused.

Take the trap of six classes in the plane: is there really a local minimiser that is not
global?
"""

import figures
import ufm
from ufm.traps import survey

STARTS = 16
PRECISIONS = (64, 96, 128, 192, 256)

problem = ufm.Problem.balanced(
    num_classes=6, per_class=2, dim=2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3
)
cell = survey(problem, starts=STARTS)
trap, best = (ufm.prove(problem, end.point) for end in (cell.worst, cell.best))
trap

# %%
# The trap is proved a local minimiser. Its value lies above an interval that holds a
# value of f elsewhere. So it is not global: together the two lines below are a proof that
# the landscape theorem needs its hypothesis on :math:`d`.

print(trap.statement)
print(best.statement)
print("not global:", best.value[1] < trap.value[0])

# %%
# The width of the interval is a matter of how many bits are asked for.

proofs = [ufm.prove(problem, cell.worst.point, precision=bits) for bits in PRECISIONS]
radii = [float(proof.digits.rstrip("]").split("+/-")[1]) for proof in proofs]

with figures.house_style():
    figure = figures.new_figure(3.3, 2.0)
    axes = figure.subplots()
    axes.plot(PRECISIONS, radii, marker="o")
    axes.plot(
        PRECISIONS,
        [2.0**-bits for bits in PRECISIONS],
        color="0.5",
        linestyle="--",
        label="2^-bits",
    )
    axes.set(yscale="log", xlabel="precision, bits", ylabel="radius of f")
    axes.legend()

caption = (
    "The radius of the ball that is proved to hold f at the trap, against the precision."
)
rows = [
    (proof.precision, radius, proof.statement)
    for proof, radius in zip(proofs, radii, strict=True)
]
drawing = figures.Drawing(figure, caption, ("bits", "radius", "statement"), rows)
drawing
