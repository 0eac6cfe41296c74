"""The one-class object detector on the encoder's features."""
