"""labels.csv: what training writes of labels that may be wrong, and launch/relabel.py reads. Without torch."""

LABELS_FILE = "labels.csv"
LABELS_COLUMNS = ("move", "phase", "file", "given", "likely", "probability_given", "probability_likely")
# What a person may write under "move".
YES, NO = ("x", "yes", "y", "1", "true"), ("", "no", "n", "0", "false")
