"""Who is in which tracked segment: evaluated behind the writer, told to the log."""
