"""HTTP out: answers questions about events and contacts from the tables, which it never writes.

What is to change is put into the log that it is given, and knows nothing else of.
"""

from query_api.app import create_app, query_routes
from query_api.freshness import Freshness
from query_api.reader import Reader

__all__ = ["Freshness", "Reader", "create_app", "query_routes"]
