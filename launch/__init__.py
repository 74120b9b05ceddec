"""The scripts for Amazon SageMaker, one file for each command, and the modules that they share."""
