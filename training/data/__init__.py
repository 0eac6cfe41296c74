"""Training sets: manifests, examples, targets, stored features."""
