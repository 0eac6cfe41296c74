"""Accounts, members, invitations, tokens and rights."""
