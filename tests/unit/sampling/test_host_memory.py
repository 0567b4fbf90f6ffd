"""Free memory within the limits of control groups, in folders written as Linux shows them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from smoothbench.sampling.host_memory import host_bytes

# what version 1 says of a group without a limit
UNLIMITED = "9223372036854771712"


def machine(root: Path, groups: str, files: Mapping[str, str]) -> Path:
    """A machine with 8 MiB to have, a process in these groups, and the files that show them."""
    texts = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8192 kB\n", "proc/self/cgroup": groups}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v2(group: str, limit: str, usage: int, stat: str = "anon 1\n") -> dict[str, str]:
    return {
        f"{group}memory.max": f"{limit}\n",
        f"{group}memory.current": f"{usage}\n",
        f"{group}memory.stat": stat,
    }


def v1(group: str, limit: str, usage: int, stat: str) -> dict[str, str]:
    return {
        f"memory/{group}memory.limit_in_bytes": f"{limit}\n",
        f"memory/{group}memory.usage_in_bytes": f"{usage}\n",
        f"memory/{group}memory.stat": stat,
    }


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("", {}, 8192 * 1024),
        # a container: its own group is the outermost one it sees
        ("0::/\n", v2("", "5000", 2000), 3000),
        ("0::/../../job_5\n", v2("", "5000", 2000), 3000),
        # a job of Slurm: the limit is that of a group around the process's
        (
            "0::/slurm/job_5/task_0\n",
            v2("slurm/job_5/task_0/", "max", 100)
            | v2("slurm/job_5/", "4000", 1000)
            | v2("slurm/", "9000", 8500),
            500,
        ),
        # what the page cache can give up is free
        ("0::/job\n", v2("job/", "5000", 4900, "inactive_anon 7\ninactive_file 3000\n"), 3100),
        # more used than the limit allows
        ("0::/job\n", v2("job/", "5000", 6000), 0),
        # version 1 alone, and beside a version 2 without controllers
        (
            "9:cpuacct,memory:/slurm/job_5\n8:cpu:/\n0::/init\n",
            v1("slurm/job_5/", "7000", 5000, "inactive_file 1\ntotal_inactive_file 1000\n")
            | v1("", UNLIMITED, 10**9, ""),
            3000,
        ),
        # in a container of version 1 the path is that of the host
        ("4:memory:/docker/f00\n", v1("", "6000", 1000, "inactive_file 500\n"), 5500),
        ("4:memory:/\n", v1("", UNLIMITED, 1000, ""), 8192 * 1024),
        # damaged
        ("0::/job\n", v2("job/", "many", 1), 8192 * 1024),
    ],
)
def test_the_narrowest_group_counts_without_what_the_page_cache_gives_up(
    tmp_path: Path, groups: str, files: Mapping[str, str], free: int
) -> None:
    assert host_bytes(machine(tmp_path, groups, files)) == free


def test_where_nobody_says_nothing_is_known(tmp_path: Path) -> None:
    assert host_bytes(tmp_path) is None
