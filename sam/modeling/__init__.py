"""The network: encoders, prompt encoder and mask decoder, and the rules its answers keep."""
