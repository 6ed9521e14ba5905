"""The two kinds of failure that a user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake or a lack that the user can mend; the command line ends with status 2.

    The message is one clear sentence that names the thing received and the way out.
    """


class OrderError(RuntimeError):
    """A method was called before another that has to come first; the message names that other one."""
