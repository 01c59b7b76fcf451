"""What the stages agree on: formats of the log, tables, identities, and wire bodies. No I/O here."""
