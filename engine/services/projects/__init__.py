"""Projects, their stages and policies."""
