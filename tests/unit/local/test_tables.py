import io

from rich.console import Console

from local.tables import of_tuning, table, terminal, watch
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED, FAILED, RUNNING, STOPPED

ACCURACY = "validation:accuracy"
TUNED = ["batch_size", "lr", "weight_decay", "eps"]


def a_tuning():
    given = {"batch_size": "128", "lr": "0.00012345678", "weight_decay": "0.0012345678", "eps": "1.2345678e-09"}
    name = "resnet18-261122-120000"
    trials = [
        Trial(f"{name}/trial-001", given, COMPLETED, 0.75, 1234.5),
        Trial(f"{name}/trial-002", given, COMPLETED, 0.5, 3),
        Trial(f"{name}/trial-003", given, STOPPED, 0.25, 99),
    ]
    return Tuning(name, ACCURACY, TUNED, trials)


def test_the_table_fits_into_a_terminal():
    stream = io.StringIO()
    Console(width=80, file=stream).print(of_tuning(a_tuning()))
    title, head, _, *rows = stream.getvalue().splitlines()
    assert title.split() == ["resnet18-261122-120000,", "by", ACCURACY]
    assert head.split() == ["trial", "status", *TUNED, "value", "time"]
    values = ["128", "0.000123", "0.00123", "1.23e-09"]
    assert rows[0].split() == ["trial-001", "best", *values, "0.7500", "1234", "s"]
    assert rows[1].split() == ["trial-002", "completed", *values, "0.5000", "3", "s"]
    assert rows[2].split() == ["trial-003", "stopped", "early", *values, "0.2500", "99", "s"]


def lines_of(tuning):
    stream = io.StringIO()
    Console(width=80, file=stream).print(of_tuning(tuning))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_running_trial_has_its_epoch_and_the_tuning_its_time(monkeypatch):
    tuning = a_tuning()
    given = tuning.trials[0].hyperparameters | {"epochs": "10"}
    running = Trial(f"{tuning.name}/trial-001", given, seconds=6)
    tuning.trials, tuning.settings = [running], {"max_jobs": 3}
    before = lines_of(tuning)
    assert before[0].split()[-1] == ACCURACY and before[3].split()[1] == "running"
    running.metrics, running.value = {ACCURACY: [0.1, 0.2], "train:loss": [1, 1]}, 0.2
    title, head, _, row = lines_of(tuning)
    assert title.endswith(f"{ACCURACY}, 01:24 left")  # 3 trials of 10 epochs of 3 s, and 6 s are over
    assert row.split()[1:3] == ["epoch", "2/10"]
    tuning.trials.insert(0, Trial(f"{tuning.name}/trial-000", given, COMPLETED, 0.2, 40))
    title, later, *_ = lines_of(tuning)
    assert title.endswith("01:14 left")
    tuning.trials[0].status, tuning.trials[0].value = STOPPED, 0.12345
    assert before[1] == head == later == lines_of(tuning)[1]  # no column has moved
    running.status = COMPLETED
    assert "left" not in lines_of(tuning)[0]


def test_words_in_brackets_are_printed_unchanged(capsys):
    failed = Trial("one/trial-001", {}, FAILED, reason="[/opt/ml] is full")
    terminal().print(of_tuning(Tuning("one", ACCURACY, [], [failed])))
    assert "failed: [/opt/ml] is full" in capsys.readouterr().out


def test_without_a_terminal_each_change_is_printed_once(capsys):
    def updates():
        tuning = a_tuning()
        done, trial, _ = tuning.trials
        trial.status, trial.value, tuning.trials = RUNNING, None, [done, trial]
        yield tuning
        yield tuning
        trial.value = 0.25
        yield tuning
        trial.status = COMPLETED
        yield tuning

    assert watch(updates()).trials[1].value == 0.25
    name = a_tuning().name
    assert capsys.readouterr().out.splitlines() == [
        f"{name}/trial-001: completed, {ACCURACY}=0.7500",
        f"{name}/trial-002: running",
        f"{name}/trial-002: running, {ACCURACY}=0.2500",
        f"{name}/trial-002: completed, {ACCURACY}=0.2500",
    ]


def test_a_name_with_a_line_break_stays_in_its_row():
    stream = io.StringIO()
    rows = [("two\nlines\udcff.jpg", 1), ("café.jpg", 2)]
    Console(width=80, file=stream).print(table(("file", "number"), rows, title="a\x1bfolder"))
    title, _, _, *shown = stream.getvalue().splitlines()
    assert title.strip() == "a\\x1bfolder"
    assert [line.split() for line in shown] == [["two\\nlines\\udcff.jpg", "1"], ["café.jpg", "2"]]
