"""The loop: stages, targets and policy."""
