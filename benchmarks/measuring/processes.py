"""What Linux tells of a process and its children: processor time and memory."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _USER, _SYSTEM, _RESIDENT = 1, 11, 12, 21


def family(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int, *, children: bool = True) -> float:
    """Processor seconds that the process has used, with those of its living descendants."""
    stats = [_stat(each) for each in (family(pid) if children else [pid])]
    return sum(int(s[_USER]) + int(s[_SYSTEM]) for s in stats if s) / TICKS


def rss_mb(pid: int, *, children: bool = True) -> float:
    """Resident memory in MB of the process and its descendants."""
    stats = [_stat(each) for each in (family(pid) if children else [pid])]
    return sum(int(s[_RESIDENT]) for s in stats if s) * PAGE / 1e6


def _stat(pid: int) -> list[str] | None:
    """The fields behind the name, which may hold blanks itself; None for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
