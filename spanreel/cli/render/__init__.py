"""Runs, steps and differences drawn for a terminal. Values in, rich objects out; nothing is read or decided here."""
