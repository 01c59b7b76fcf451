"""HTTP out: answers questions about events from the tables. Never writes, and knows nothing of the log."""

from query_api.app import create_app
from query_api.freshness import Freshness
from query_api.reader import Reader
from query_api.routes import read_routes

__all__ = ["Freshness", "Reader", "create_app", "read_routes"]
