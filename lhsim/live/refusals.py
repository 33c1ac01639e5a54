"""What the bridge answers when it does not do what it was asked for: a status and one line."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - a regular answer, no error of ours
    """An answer other than 200.

    Parameters
    ----------
    status
        Of HTTP.
    problem
        One line for the client.
    retry_after
        When to try again [s].
    """

    def __init__(self, status: int, problem: str, *, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.retry_after = retry_after
