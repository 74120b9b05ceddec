"""Lists of labels that may be wrong by cleanlab: of a job's probabilities, and as its tutorials for images advise."""

from collections.abc import Iterator

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def lists(labels: np.ndarray, features: np.ndarray, probabilities: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and lists of positions, the likeliest to be wrong first.

    `labels` is (n,), `features` (n, f), and `probabilities` (n, classes) are those by which the job judges. The
    tutorials take out-of-fold probabilities of a logistic regression on the features.
    """
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = cross_val_predict(regression, features, labels, cv=5, method="predict_proba")
    for name, found in {"the job's probabilities": probabilities, "logistic regression in 5 folds": folds}.items():
        # Their sums are 1 for cleanlab in double precision alone.
        exact = found.astype(float) / found.sum(1, keepdims=True, dtype=float)
        yield f"cleanlab's filter, {name}", find_label_issues(labels, exact, return_indices_ranked_by="self_confidence")
        yield f"cleanlab's order of all, {name}", get_label_quality_scores(labels, exact).argsort()
