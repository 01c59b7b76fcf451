"""Deliveries of workflows: what is due, decided behind the writer, and how it is sent."""
