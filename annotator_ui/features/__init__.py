"""One package per feature: its pages, forms and API operations."""
