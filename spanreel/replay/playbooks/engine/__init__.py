"""Playbooks run: who drives the walk, with which tools and models, in which spans; and those written in Python."""
