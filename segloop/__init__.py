"""Segloop as an installed package: the `segloop` command and the WSGI entry point.

The product's packages (`engine`, `sam`, `training`, ...) lie in the private folder `_app` of a
wheel, or beside this package in a checkout; `segloop.app_path` makes them importable.
"""

__version__ = "0.2.0"
