"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

from penstock.operating import Operations

OPERATIONS: Operations = {}
