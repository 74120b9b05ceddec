"""The names of the tensors that debugging saves, and of its rules. Without torch, so that launch/ starts quickly."""

from enum import StrEnum

# A tensor's name is one of these, a slash, and the layer's name. smdebug names gradients, and the others are ours.
GRADIENT = "gradient"
UPDATE_RATIO = "update_ratio"  # how far a step moved a layer's weights, as a share of their size
RELU_ACTIVITY = "relu_activity"  # how often each unit behind a ReLU was active
# Scalars of a whole epoch; smdebug puts SCALAR and a slash before their names.
SCALAR = "scalar"
TRAIN_LOSS = "train_loss"
VALIDATION_LOSS = "validation_loss"
# Regexes of smdebug's names.
RELU_INPUTS = ".*relu_input"
WEIGHTS_AND_BIASES = "weight|bias"  # and their gradients


class RuleName(StrEnum):
    """Each rule by the name of its class."""

    LEARNING_RATE_TOO_HIGH = "LearningRateTooHigh"
    LOSS_NOT_DECREASING = "LossNotDecreasing"
    OVERFIT = "Overfit"
    OVERTRAINING = "Overtraining"
    EXPLODING_TENSOR = "ExplodingTensor"
    VANISHING_GRADIENT = "VanishingGradient"
    POOR_WEIGHT_INITIALIZATION = "PoorWeightInitialization"
    DEAD_RELU = "DeadRelu"
