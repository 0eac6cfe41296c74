"""Formats to import: every module or package in here that has a NAME is one."""
