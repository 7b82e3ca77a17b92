"""Playbooks on paper: what could be better about one, and what a run of it would do."""
