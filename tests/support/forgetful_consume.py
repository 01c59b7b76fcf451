"""`penstock consume` that is given no partitions when it joins for the first time.

As after a broker's restart, when the one who gives them out did not see the topic yet: faust's own assignor, which for
once finds no topics.
"""

from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor

from penstock.cli import main

_assignor: Any = PartitionAssignor
_groups = _assignor._get_copartitioned_groups.__func__
_asked: list[bool] = []


def _without_topics_once(cls: Any, topics: Any, *args: Any) -> Any:
    is_first = not _asked
    _asked.append(True)
    return _groups(cls, set() if is_first else topics, *args)


if __name__ == "__main__":
    _assignor._get_copartitioned_groups = classmethod(_without_topics_once)
    main()
