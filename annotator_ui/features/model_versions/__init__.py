"""Model versions: training, promotion and the starter."""
