"""The rows of a run for TensorBoard, where the package is there."""

from contextlib import contextmanager

from ufm import InputError
from ufm.errors import Setting
from validate import Run


def require_tensorboard() -> None:
    """Raise InputError unless torch can write for TensorBoard."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(
            (Setting("tensorboard", True), " needs a package that is not here: pip install tensorboard")
        ) from error


@contextmanager
def board(run: Run, rows: list[dict[str, float]]):
    """Yield a function that writes a row of epochs.csv to RUN/tensorboard.

    The rows that the run has are written first, over whatever is there: a process may have died before or after it
    wrote one, or have had no board.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.path / "tensorboard"), purge_step=1) as writer:

        def write(row: dict[str, float]) -> None:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()

        for row in rows:
            write(row)
        yield write


@contextmanager
def no_board():
    """Yield a function that does nothing."""
    yield _ignore


def _ignore(row: dict[str, float]) -> None:
    pass
