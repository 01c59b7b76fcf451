"""HTTP in: requests become events in the log."""
