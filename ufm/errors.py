"""The one exception that means "what was asked cannot be done, and here is how to mend it"."""


class InputError(ValueError):
    """A request that cannot be carried out; the message is one line that says what to change."""


class NoClosedForm(InputError):
    """No closed form of the global minimiser is known for this problem; the message names why."""


def require(condition: bool, message: str) -> None:
    """Raise InputError(message) unless the condition holds."""
    if not condition:
        raise InputError(message)
