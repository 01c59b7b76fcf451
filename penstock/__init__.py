"""What ingest, consumers and query API share: gateways, keys, settings, and the command line that composes them."""

from importlib.metadata import version

__version__ = version("penstock")
