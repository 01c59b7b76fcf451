"""Log in, tables out."""
