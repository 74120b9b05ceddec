"""TorchServe's own image_classifier, with the same model as the other servers."""

import resnet18
import torch
from ts.torch_handler.image_classifier import ImageClassifier


class Handler(ImageClassifier):
    image_processing = resnet18.TRANSFORM
    topk = 5

    def initialize(self, context):
        self.context = context
        self.manifest = context.manifest
        self.device = self.map_location = torch.device("cpu")
        self.model = resnet18.load()
        self.mapping = {str(i): name for i, name in enumerate(resnet18.CLASSES)}
        self.model_yaml_config = {}
        self.initialized = True
