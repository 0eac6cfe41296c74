"""Signing in, invitations and the account page."""
