"""The order of commits, for any order in which work ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from processors.gateway_order import PartitionProgress

if TYPE_CHECKING:
    from random import Random


@given(gaps=st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=60), random=st.randoms())
def test_a_commit_never_passes_unfinished_work_and_reaches_the_end(gaps: list[int], random: Random) -> None:
    progress = PartitionProgress()
    offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    for offset in offsets:
        progress.take(offset)
    left = offsets[:]
    for offset in random.sample(offsets, len(offsets)):
        progress.finish(offset)
        left.remove(offset)
        due = progress.to_commit()
        if due is not None:
            assert all(due <= unfinished for unfinished in left)
            progress.committed(due)
            assert progress.to_commit() is None
    assert progress.is_idle
    progress.reach(offsets[-1] + 1)
    assert progress.to_commit() is None, "nothing new"
    progress.reach(offsets[-1] + 2)
    assert progress.to_commit() == offsets[-1] + 2, "past the marker"


def test_a_partition_in_which_nothing_was_done_commits_nothing() -> None:
    progress = PartitionProgress()
    assert not progress.is_idle
    assert progress.to_commit() is None
