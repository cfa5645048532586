"""Memory limits of machines and containers, read from small trees of the files that Linux writes."""

from pathlib import Path

import pytest

from graph.machine_memory import available_memory, memory_limit, resident_memory

MEMINFO = "MemTotal:       16000 kB\nMemFree:         3000 kB\nMemAvailable:    8000 kB\nHugePages_Total:       0\n"
KIB = 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "proc/meminfo", MEMINFO)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def group_v2(folder: Path, limit: str, usage: int, inactive_file: int = 0) -> None:
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.current", f"{usage}\n")
    write(folder / "memory.stat", f"anon 5\ninactive_file {inactive_file}\n")


def group_v1(folder: Path, limit: int, usage: int, inactive_file: int) -> None:
    write(folder / "memory.limit_in_bytes", f"{limit}\n")
    write(folder / "memory.usage_in_bytes", f"{usage}\n")
    write(folder / "memory.stat", f"inactive_file 1\ntotal_inactive_file {inactive_file}\n")


def test_a_machine_without_cgroups(root: Path) -> None:
    assert (memory_limit(root), available_memory(root)) == (16000 * KIB, 8000 * KIB)


def test_a_container_with_version_2_mounted_as_its_root(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/\n")
    group_v2(root / "sys/fs/cgroup", "4096000", usage=1000000, inactive_file=200000)
    assert (memory_limit(root), available_memory(root)) == (4096000, 3296000)


def test_the_tightest_group_above_the_process_counts(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/system.slice/sumi.service/worker\n")
    group_v2(root / "sys/fs/cgroup/system.slice", "9000000", usage=8900000)
    group_v2(root / "sys/fs/cgroup/system.slice/sumi.service", "5000000", usage=100000)
    group_v2(root / "sys/fs/cgroup/system.slice/sumi.service/worker", "max", usage=50000)
    assert (memory_limit(root), available_memory(root)) == (5000000, 100000)


def test_version_1_counts_the_file_cache_of_all_groups_beneath(root: Path) -> None:
    write(root / "proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/ab12\n1:cpu,cpuacct:/\n0::/\n")
    group_v1(root / "sys/fs/cgroup/memory", 9223372036854771712, usage=9000000, inactive_file=0)
    group_v1(root / "sys/fs/cgroup/memory/docker/ab12", 6000000, usage=5500000, inactive_file=500000)
    assert (memory_limit(root), available_memory(root)) == (6000000, 1000000)


def test_a_group_path_of_the_host_falls_back_to_the_container_s_root(root: Path) -> None:
    write(root / "proc/self/cgroup", "4:memory:/kubepods/pod1/c1\n")
    group_v1(root / "sys/fs/cgroup/memory", 3000000, usage=1000000, inactive_file=0)
    assert (memory_limit(root), available_memory(root)) == (3000000, 2000000)


def test_a_full_container_has_nothing_available(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/\n")
    group_v2(root / "sys/fs/cgroup", "1000", usage=1200)
    assert available_memory(root) == 0


def test_this_machine() -> None:
    assert 0 < resident_memory() < memory_limit()
    assert (available_memory() or 1) <= memory_limit()
