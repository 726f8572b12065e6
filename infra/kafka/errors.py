"""What is wrong with the broker's topics, in words for the person at the terminal."""

from __future__ import annotations


class WrongTopicError(Exception):
    """A topic exists, and is not what it must be."""
