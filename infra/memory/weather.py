"""What happens between two steps of an adapter in memory: in good weather, nothing."""

from __future__ import annotations


class Weather:
    """Good weather. A simulation brings a worse one: it waits at any place, and lets faults strike."""

    async def pause(self, place: str) -> None:
        """Stand between two steps that a network would separate; a process that died here goes no further."""

    def strikes(self, place: str) -> bool:
        """Tell whether the fault of that name happens now."""
        return False


GOOD_WEATHER = Weather()
