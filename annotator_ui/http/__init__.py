"""What every page and API operation shares: permissions, lookups, errors, files."""
