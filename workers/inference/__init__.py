import sam  # noqa: F401 (how threads wait, before torch is loaded)
