"""File systems whose file locks end at the machine, by a list of mounts as Linux writes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from smoothbench.storage import mount
from smoothbench.storage.lock_kind import by_lease
from smoothbench.storage.mount import mount_of

Mounts = Callable[[str], None]


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mounts:
    """Say that a file system of this kind, source and options lies around the test's folder."""
    listed = tmp_path / "mountinfo"
    monkeypatch.setattr(mount, "MOUNTS", listed)

    def write(system: str) -> None:
        listed.write_text(
            "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
            f"40 22 0:50 / {tmp_path} rw,relatime shared:9 master:2 - {system}\n"
            "41 22 0:51 / /elsewhere rw - tmpfs tmpfs rw\n"
        )

    return write


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("ext4 /dev/sda1 rw", None),
        ("lustre 10.0.0.1@o2ib:/work rw,flock,user_xattr", None),
        ("lustre 10.0.0.1@o2ib:/work rw,localflock", "mounted with localflock"),
        ("lustre 10.0.0.1@o2ib:/work rw,user_xattr", "mounted without flock"),
        ("nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1", None),
        ("nfs4 server:/home rw,vers=4.2,local_lock=flock", "mounted with local_lock=flock"),
        ("nfs server:/home rw,vers=3,nolock,local_lock=all", "mounted with local_lock=all"),
        ("nfs server:/home rw,vers=3,local_lock=posix", None),
        ("nfs server:/home rw,nolock", "mounted with nolock"),
        ("beegfs beegfs_nodev rw,cfgFile=/no/such.conf", "tuneUseGlobalFileLocks is not set"),
    ],
)
def test_locks_that_end_at_the_machine_make_way_for_leases(
    tmp_path: Path, mounts: Mounts, system: str, reason: str | None
) -> None:
    mounts(system)
    folder = tmp_path / "runs"
    folder.mkdir()
    place = mount_of(folder)
    assert place is not None and place.kind == system.split()[0] and place.local_locks() == reason
    assert by_lease(folder) == (reason is not None)
    assert (folder / ".locks" / ("leases" if reason else "file_locks")).exists()


@pytest.mark.parametrize(
    ("text", "reach_all"),
    [
        ("tuneUseGlobalFileLocks = true\n", True),
        ("tuneUseGlobalFileLocks=false\n", False),
        ("# tuneUseGlobalFileLocks = true\ntuneUseGlobalAppendLocks = true\n", False),
    ],
)
def test_beegfs_says_in_the_settings_of_its_client_how_far_locks_reach(
    tmp_path: Path, mounts: Mounts, text: str, reach_all: bool
) -> None:
    (tmp_path / "my client.conf").write_text(text)
    mounts(f"beegfs beegfs_nodev rw,relatime,cfgFile={tmp_path}/my\\040client.conf")
    assert by_lease(tmp_path) is not reach_all


def test_of_two_file_systems_at_one_place_the_last_counts(tmp_path: Path, mounts: Mounts) -> None:
    mounts("ext4 /dev/sda1 rw")
    (tmp_path / "a b").mkdir()
    lines = (
        f"50 40 0:60 / {tmp_path}/a\\040b rw - ext4 /dev/sdb1 rw\n",
        f"51 50 0:61 / {tmp_path}/a\\040b rw - nfs s:/ rw,nolock\n",
    )
    with mount.MOUNTS.open("a") as listed:
        listed.writelines(lines)
    assert [getattr(mount_of(tmp_path / name), "kind", None) for name in ("a b", ".", "..")] == [
        "nfs",
        "ext4",
        "ext4",
    ]


def test_where_nobody_lists_mounts_the_locks_themselves_decide(tmp_path: Path, mounts: Mounts) -> None:
    assert mount_of(tmp_path) is None and not by_lease(tmp_path)
    mount.MOUNTS.write_text("damaged\n")
    assert mount_of(tmp_path) is None and not by_lease(tmp_path / "other")
