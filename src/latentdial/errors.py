"""The one error type that users see."""

from latentdial.texts import printable


class LatentdialError(Exception):
    """Something the user can mend: the message is one line and names the remedy."""

    def __str__(self) -> str:
        """The message; names of files in it cannot drive the terminal."""
        return printable(super().__str__(), lines=False)
