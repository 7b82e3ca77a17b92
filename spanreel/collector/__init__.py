"""Receives spans, decodes them, and keeps them in the store. Never imported by the agent's process."""
