"""The job queue: enqueue, claim, finish, cancel, retry."""
