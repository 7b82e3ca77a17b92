"""Playbooks beside what an agent did: walked over recorded runs, with no effect."""
