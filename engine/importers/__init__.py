"""Datasets in: where the files lie (`sources`), what their annotations say (`coco`, `sa1b`).

Plain readers of hostile input: they name no path, write nothing and know no table.
"""
