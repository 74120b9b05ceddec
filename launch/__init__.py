"""The scripts of Amazon SageMaker, one verb a file, and what they share."""
