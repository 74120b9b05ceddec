"""What only a GPU shows. `make test-gpu` runs it, in under 4 minutes; where there is no GPU, all of it is skipped."""
