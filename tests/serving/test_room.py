"""How much memory is free, in a container too, and what is said where a model does not fit. Without a model."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from serving_image.engine import kv, memory
from serving_image.errors import WeightsError

CPU = torch.device("cpu")
LLAMA = SimpleNamespace(
    num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, hidden_size=4096, intermediate_size=14336,
    vocab_size=128256,
)  # fmt: skip


def cgroup(folder: Path, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached - 1}\nactive_file 1\n")


def test_every_cgroup_above_the_process_counts_and_pages_of_files_are_free(tmp_path: Path):
    cgroup(tmp_path, "max", 10**12, 0)
    cgroup(tmp_path / "pod", "8000", 7000, 6000)
    cgroup(tmp_path / "pod/box", "9000", 1000, 10)
    assert sorted(memory._free_in_cgroups(tmp_path, "0::/pod/box\n")) == [7000, 8010]


def test_a_container_whose_own_cgroup_is_the_top_one_has_its_limit_there(tmp_path: Path):
    cgroup(tmp_path, "5000", 4000, 1)
    assert memory._free_in_cgroups(tmp_path, "0::/not/visible/here\n") == [1001]


def test_the_first_version_of_cgroups_counts_too(tmp_path: Path):
    folder = tmp_path / "memory/pod"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("900\n")
    (folder / "memory.stat").write_text("total_inactive_file 20\ntotal_active_file 30\n")
    assert memory._free_in_cgroups(tmp_path, "4:memory:/pod\n3:cpu:/\n0::/\n") == [150]


def test_weights_that_are_used_in_their_files_are_not_free_and_libraries_are():
    maps = (
        "1000-3000 r--s 00000000 fe:00 77 /models/blobs/c6e35d\n3000-9000 r-xp 00000000 fe:00 78 /usr/lib/libtorch.so\n"
        "9000-a000 rw-p 00000000 00:00 0 \nb000-c000 rw-p 00000000 00:00 0 [heap]\nd000-e000 rw-s 0 00:01 9 /dev/zero\n"
    )
    assert memory.mapped(maps) == [range(0x1000, 0x3000)]


def test_what_is_free_here_is_not_more_than_the_machine_has():
    assert 0 < memory.free_bytes(CPU) <= memory.psutil.virtual_memory().total


def test_a_model_that_does_not_fit_is_told_with_the_sum():
    cache = memory.cache_bytes(LLAMA, 8192, 2)
    assert cache == 2**30  # 32 layers x 8 heads x 128 x 2 x 2 bytes x 8192
    needed = memory.Needed(15 * 2**30, cache, memory.activation_bytes(LLAMA, 512, 64, 2))
    needed.check("model", 17 * 2**30, CPU)
    with pytest.raises(WeightsError) as caught:
        needed.check("model", 14 * 2**30, CPU)
    assert str(caught.value).startswith(
        "model: does not fit: 16.13 GiB = weights 15.00 GiB + cache 1.00 GiB + activations 0.13 GiB, and cpu has 14.00"
    )


def test_a_pool_of_the_cache_gives_all_its_room_to_another_and_takes_it_back():
    shape = kv.Shape(layers=1, heads=1, key_dim=2, value_dim=2, dtype=torch.float32, device=CPU)
    store = kv.Store(shape, budget_tokens=256, context_tokens=256)
    for length in (100, 200, 100):
        row = store.allocate(length)
        assert row.room == (128 if length == 100 else 256)
        row.pool.give_back(row)


def test_rows_kept_on_a_cpu_give_way_when_others_need_more_than_may_be_kept(monkeypatch: pytest.MonkeyPatch):
    shape = kv.Shape(layers=1, heads=1, key_dim=2, value_dim=2, dtype=torch.float32, device=CPU)
    monkeypatch.setattr(kv, "KEPT_CPU_BYTES", 512 * shape.token_bytes)
    store = kv.Store(shape, budget_tokens=4096, context_tokens=256)
    kept = [store.allocate(100) for _ in range(2)]
    for row in kept:
        row.pool.give_back(row)
    store.allocate(200)
    assert set(kept) < set(store.kept())  # 2 x 128 + 256 tokens may be kept
    store.allocate(200)
    assert [len(pool.rows) for pool in store.pools] == [0, 2]
