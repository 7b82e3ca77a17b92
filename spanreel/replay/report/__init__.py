"""Replays and comparisons as text and as HTML fragments. Quiet; the terminal is the command line's."""
