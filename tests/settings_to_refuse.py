"""Flags that tune.py refuses in one sentence, for AWS and with --local alike, and what the sentence says."""

REFUSED_SETTINGS = {
    "--objective test:loss": "objective is 'test:loss'; accepted:",
    "--hyperparameters epochs=0": "hyperparameter epochs is 0; accepted:",
    "--hyperparameters objective=validation:loss": "fixes objective to 'validation:loss'; accepted: the same metric",
    "--hyperparameters lr=0.1 --ranges lr=[0.1,0.2]": "lr is fixed to 0.1 in hyperparameters and has a range",
    "--hyperparameters lr=0.1 lr=0.2": "--hyperparameters has lr twice, as 0.1 and as 0.2",
    "--ranges sagemaker_x=[1,2]": "unknown hyperparameter 'sagemaker_x'; accepted: epochs, ",
    "--ranges lr=[0.2,0.1]": "the range of lr is [0.2, 0.1]; accepted: a lower and a higher number above 0",
    "--max-jobs 0": "max_jobs is 0; accepted: a whole number from 1",
    "--max-parallel-jobs 9": "max_parallel_jobs is 9 and max_jobs is 8; accepted:",
    "--max-minutes 0": "max_minutes is 0; accepted: a whole number from 1",
    "--instance-count -1": "instance_count is -1; accepted: a whole number from 1",
}
