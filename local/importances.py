"""How much each tuned hyperparameter matters, as Optuna's fANOVA estimates it."""

import math

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from classifier.training.accepted_values import Real
from classifier.training.hyperparameters import FIELDS
from local.trials import Tuning


def importances(tuning: Tuning) -> dict[str, float]:
    """Return the importance of each tuned hyperparameter, the largest first; {} if the objective never differs."""
    if len(set(tuning.values)) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    spread = {
        name: distribution(name, [trial.hyperparameters[name] for trial in tuning.measured]) for name in tuning.tuned
    }
    for trial, value in zip(tuning.measured, tuning.values, strict=True):
        chosen = {name: typed(name, trial.hyperparameters[name]) for name in spread}
        study.add_trial(optuna.trial.create_trial(params=chosen, distributions=spread, value=value))
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0))


def typed(name: str, text: str) -> float | str:
    return float(text) if isinstance(FIELDS[name].metadata["accepted"], Real) else text


def distribution(name: str, texts: list[str]) -> BaseDistribution:
    """Return the distribution that the values of these texts span."""
    values = [typed(name, text) for text in texts]
    numbers = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    if len(numbers) == len(values):
        return FloatDistribution(min(numbers), max(numbers), log=min(numbers) > 0)
    return CategoricalDistribution(sorted(set(texts)))
