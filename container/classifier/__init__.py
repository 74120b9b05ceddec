"""ResNet18 image classification under SageMaker's training and serving contracts."""
