"""Addresses that more than one place writes down."""

from __future__ import annotations

API_BASE = "/api/v1"
EVERY_API = "/api/"  # unknown versions too get the API's shape of error
