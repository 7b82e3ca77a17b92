"""Taps on agent frameworks, one file each: their one tool dispatch method and their run method."""
