"""The split of time by rule."""

import pytest

from ntkscope.errors import NtkscopeError
from ntkscope.runtime.timings import read_benchmarks, summarise

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_shares_add_up(tmp_path):
    for rule, job, cpu in (("train", "a", 6), ("train", "b", 2), ("draw", "c", 2)):
        file = tmp_path / rule / f"{job}.tsv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{HEADER}5\t0:00:05\t{100 * cpu}\t1\t1\t1\t0\t0\t90\t{cpu}\n")
    table = summarise(read_benchmarks(tmp_path))
    assert table.index.tolist() == ["train", "draw"]
    assert table.loc["train"].tolist() == [2, 10, 8, 0.8, 600]


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the workflow first"):
        read_benchmarks(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"s\tcpu_time\n1\t2\n", b"s\th:m:s\nx"])
def test_a_damaged_benchmark_file_is_named(tmp_path, content):
    file = tmp_path / "train_task" / "a.tsv"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(NtkscopeError, match=r"a\.tsv"):
        read_benchmarks(tmp_path)
