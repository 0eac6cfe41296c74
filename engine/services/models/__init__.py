"""Model versions: train, measure, promote, roll back, schedule."""
