"""Taps on HTTP clients, one file each."""
