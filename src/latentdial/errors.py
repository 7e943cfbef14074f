"""The one error type that users see."""


class LatentdialError(Exception):
    """Something the user can mend: the message is one line and names the remedy."""
