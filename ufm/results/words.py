"""The words of the results: what a point is, and what became of a claim."""

from enum import Enum


def counted(number: int, noun: str) -> str:
    """The number and the noun: 1 critical point, 2 critical points."""
    return f"{number} {noun}{'s' * (number != 1)}"


class Word(str, Enum):
    """A member equals its text, and carries what the text means and what to do where it is not what was hoped for.

    meaning   one sentence
    remedy    one sentence in the imperative; empty where nothing is to be done
    """

    meaning: str
    remedy: str

    def __new__(cls, text: str, meaning: str, remedy: str = "") -> "Word":
        word = str.__new__(cls, text)
        word._value_, word.meaning, word.remedy = text, meaning, remedy
        return word

    __str__ = str.__str__

    def __format__(self, format_spec: str) -> str:
        return str.__format__(self, format_spec)


class PointVerdict(Word):
    """What a point is: `ufm.certify` certifies it to a tolerance, `ufm.prove` proves it in ball arithmetic."""

    GLOBAL_MINIMIZER = "global minimizer", "No point has a lower f."
    STRICT_SADDLE = "strict saddle", "A critical point with a direction of negative curvature, which is given."
    LOCAL_MINIMIZER = (
        "local minimizer",
        "A critical point whose Hessian is positive semidefinite and vanishes on the symmetry orbit's tangent alone.",
    )
    DEGENERATE = (
        "degenerate",
        "A critical point that second order does not decide: the Hessian has more zeros than the symmetries explain.",
        "Move the decays away from a threshold, or look at the point's neighbourhood.",
    )
    NOT_CRITICAL = (
        "not critical",
        "The gradient is not small, or no critical point is near.",
        "Minimise further, from this point and to a smaller tol.",
    )
    NOT_PROVED = (
        "not proved",
        "A step of the proof did not go through; the reason says which.",
        "Raise the precision, or sharpen the point.",
    )


class Status(Word):
    """What became of a claim on one problem."""

    HOLDS = "holds", "Checked: the worst deviation is within the tolerance."
    FAILS = (
        "fails",
        "Checked: something contradicts the claim.",
        "Look at the note, which says where; then at the claim, or at the code.",
    )
    INCONCLUSIVE = (
        "inconclusive",
        "Checked, but what was found decides nothing.",
        "Look at the note, which says why; more starts or another seed may decide.",
    )
    NOT_COVERED = (
        "not covered",
        "Not checked: the problem lacks a hypothesis of the claim, or what the check needs.",
        "The note says what is needed.",
    )
