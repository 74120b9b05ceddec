"""benchmarks/together.py, which the figures of several processes are of."""

from benchmarks.together import together

# Each process takes another time to import this, as one with torch does on busy cores; the work is shorter than that.
WORK = """
import os, time
time.sleep(os.getpid() % 3 * 0.7)
def work(number):
    started = time.monotonic()
    time.sleep(0.3)
    return number, os.getpid(), started
"""


def test_all_begin_at_the_same_time_each_in_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "slowly_imported.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    from slowly_imported import work  # pyright: ignore[reportMissingImports] # written above

    looks = []
    numbers, processes, starts = zip(
        *together(work, [(number,) for number in range(4)], lambda: looks.append(0)), strict=True
    )
    assert numbers == (0, 1, 2, 3)
    assert len(set(processes)) == 4
    assert max(starts) - min(starts) < 0.3
    assert 1 <= len(looks) <= 10  # of the work alone, not of the start
