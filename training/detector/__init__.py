"""Training of the object detector, its metrics and prefill thresholds."""
