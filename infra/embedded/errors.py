"""What can go wrong with the embedded stack, each in words that say what to do."""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded stack cannot do what was asked. The message is meant for the person at the terminal."""


class MissingExtraError(EmbeddedError):
    """The packages of the optional extra `embedded` are not installed."""


class PortTakenError(EmbeddedError):
    """Another program listens where we were told to listen."""


class NoSpaceError(EmbeddedError):
    """The file system of the data directory is full, or nearly so."""


class DataDirInUseError(EmbeddedError):
    """Another running stack owns the data directory."""


class BrokenDataDirError(EmbeddedError):
    """Something stands where the data should be, and it is not complete data of ours."""


class JarError(EmbeddedError):
    """A jar could not be fetched, or is not the one that was locked."""


class StartError(EmbeddedError):
    """A process of the stack did not come up."""
