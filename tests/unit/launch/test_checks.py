import tomllib

import pytest

from classifier.errors import UserError
from launch import checks, settings

TUNING = ("cost", "training", "tuning")


def parsed(*flags, sections=("aws", *TUNING)):
    return settings.make_parser("", *sections).parse_args(flags)


def edited(monkeypatch, tmp_path, *replacements):
    """Let settings.toml have other values: each of `replacements` is a line's start and the line to put there."""
    lines = settings.FILE.read_text().splitlines()
    for start, line in replacements:
        (number,) = (number for number, old in enumerate(lines) if old.startswith(start))
        lines[number] = line
    monkeypatch.setattr(settings, "FILE", tmp_path / "settings.toml")
    settings.FILE.write_text("\n".join(lines))


def test_every_setting_has_its_accepted_values():
    sections = tomllib.loads(settings.FILE.read_text())
    assert {name: set(section) for name, section in sections.items()} == {
        name: set(accepted) for name, accepted in checks.SECTIONS.items()
    }


@pytest.mark.parametrize("value", ["0", "-1"])
@pytest.mark.parametrize(
    ("sections", "name"),
    [
        (TUNING, "instance_count"),
        (TUNING, "volume_gb"),
        (TUNING, "max_minutes"),
        (TUNING, "max_wait_minutes"),
        (TUNING, "max_jobs"),
        (TUNING, "max_parallel_jobs"),
        (("hosting",), "instance_count"),
        (("hosting",), "max_instances"),
        (("hosting",), "requests_per_instance"),
        (("hosting",), "startup_seconds"),
        (("hosting",), "memory_mb"),
        (("hosting",), "max_concurrency"),
        (("transform",), "instance_count"),
        (("transform",), "max_minutes"),
        (("transform",), "max_concurrent"),
    ],
)
def test_a_number_below_1_is_refused(sections, name, value):
    with pytest.raises(UserError, match=f"^{name} is {value}; accepted: a whole number from "):
        parsed(f"--{name.replace('_', '-')}", value, sections=("aws", *sections))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--early-stopping On", "early_stopping is 'On'; accepted: Auto, Off"),
        ("--strategy Best", "strategy is 'Best'; accepted: Bayesian, Random, Grid, Hyperband"),
        ("--objective test:loss", "objective is 'test:loss'; accepted: validation:accuracy, "),
        ("--input-mode Pipe", "input_mode is 'Pipe'; accepted: File, FastFile"),
        ("--prices ml.m5.xlarge=cheap", "the price of ml.m5.xlarge is 'cheap'; accepted: a number from 0"),
        ("--prices ml.m5.xlarge=inf", "the price of ml.m5.xlarge is Infinity; accepted: a number from 0"),
        ("--hyperparameters epochs=0", "hyperparameter epochs is 0; accepted: a whole number from 1"),
        ("--hyperparameters rate=1", "unknown hyperparameter 'rate'; accepted: epochs, "),
        ("--hyperparameters sagemaker_x=1", "unknown hyperparameter 'sagemaker_x'; accepted: epochs, "),
        ("--hyperparameters lr=0.1 lr=0.2", "--hyperparameters has lr twice, as 0.1 and as 0.2"),
        ("--hyperparameters lr=0.1 --hyperparameters lr=0.2", "--hyperparameters has lr twice"),
        ("--ranges lr=[0.1,0.2] lr=[0.1,0.3]", "--ranges has lr twice"),
        ("--ranges sagemaker_x=[1,2]", "unknown hyperparameter 'sagemaker_x'"),
        ("--subnets a", "a VPC needs both subnets and security_groups"),
        ("--security-groups a", "a VPC needs both subnets and security_groups"),
        ("--max-jobs 1_000", "max_jobs is '1_000'; accepted: a whole number from 1"),
        ("--max-parallel-jobs 9", "max_parallel_jobs is 9 and max_jobs is 8; accepted: max_parallel_jobs up to"),
        ("--max-parallel-jobs 3 --max-jobs 2", "max_parallel_jobs is 3 and max_jobs is 2"),
        ("--max-wait-minutes 9", "max_minutes is 120 and max_wait_minutes is 9; accepted: max_minutes up to"),
        ("--hyperparameters objective=validation:loss", "fixes objective to 'validation:loss'; accepted: the same"),
        ("--hyperparameters lr=0.1 --ranges lr=[0.1,0.2]", "lr is fixed to 0.1 in hyperparameters and has a range"),
        (
            "--strategy Grid --max-jobs 3 --ranges lr=[0.1] eps=[1e-9] weight_decay=[0.1]",
            "max_jobs is 3, and a grid search tries all its combinations, 2; accepted: that number, or no --max-jobs",
        ),
    ],
)
def test_other_values_and_contradictions_are_refused(flags, expected):
    with pytest.raises(UserError) as error:
        parsed(*flags.split())
    assert expected in str(error.value)


def test_more_instances_than_the_most_are_refused():
    with pytest.raises(UserError, match="instance_count is 3 and max_instances is 2; accepted: instance_count up to"):
        parsed("--instance-count", "3", "--max-instances", "2", sections=("hosting",))


def test_more_megabytes_at_a_time_than_aws_takes_are_refused():
    assert parsed("--max-payload-mb", "25", sections=("transform",)).max_payload_mb == 25
    with pytest.raises(UserError, match="4 and max_payload_mb is 26; accepted: a product of up to 100"):
        parsed("--max-payload-mb", "26", sections=("transform",))


def test_a_default_follows_a_flag():
    given = parsed("--max-jobs", "1", "--max-minutes", "300")
    assert (given.max_parallel_jobs, given.max_wait_minutes) == (1, 300)
    assert parsed("--instance-count", "3", sections=("hosting",)).max_instances == 3
    assert parsed("--no-spot", "--max-wait-minutes", "9").max_minutes == 120  # without spot nothing waits


def test_a_scripts_own_flags_are_not_settings():
    parser = settings.make_parser("", "aws")
    parser.add_argument("--data", action="store_true")
    assert parser.parse_args(["--data"]).data is True


def test_fixed_is_what_is_tuned_for():
    given = parsed("--objective", "validation:loss", "--hyperparameters", "objective=validation:loss", "epochs=3")
    assert given.hyperparameters == {"objective": "validation:loss", "epochs": 3}
    grid = "--strategy Grid --max-jobs 2 --ranges lr=[0.1] eps=[1e-9] weight_decay=[0.1]"
    assert parsed(*grid.split()).max_jobs == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max_jobs = 2.5", "max_jobs is 2.5; accepted: a whole number from 1"),
        ("max_jobs = true", r"settings.toml, section \[tuning\]: max_jobs is true; accepted: a whole number from 1"),
        ("max_jobs = 1979-05-27", "accepted: a whole number from 1"),
        ("max_jobs = 1", "max_parallel_jobs is 2 and max_jobs is 1; accepted: max_parallel_jobs up to max_jobs"),
    ],
)
def test_the_file_is_checked_too(tmp_path, monkeypatch, line, expected):
    edited(monkeypatch, tmp_path, ("max_jobs", line))
    with pytest.raises(UserError, match=expected):
        parsed()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ranges = []", r"ranges is \[\]; accepted: a table of names and values"),
        ("prefix = 5", "prefix is 5; accepted: 1 to 18 letters, digits and single hyphens"),
        ("region = 5", "region is 5; accepted: text"),
        ('subnets = "subnet-1"', "subnets is 'subnet-1'; accepted: a list"),
        ('spot = "no"', "spot is 'no'; accepted: true, false"),
    ],
)
def test_a_setting_of_another_type_is_refused(tmp_path, monkeypatch, line, expected):
    edited(monkeypatch, tmp_path, (line.split()[0] + " ", line))
    with pytest.raises(UserError, match=expected):
        parsed()


def test_a_setting_in_quotes_is_its_value(tmp_path, monkeypatch):
    edited(monkeypatch, tmp_path, ("max_jobs", 'max_jobs = "3"'), ("spot ", 'spot = "false"'))
    assert (parsed().max_jobs, parsed().spot) == (3, False)
