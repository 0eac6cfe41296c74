"""Questions to the tables. They read and compute; nothing here writes."""
