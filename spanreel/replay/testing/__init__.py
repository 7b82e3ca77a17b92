"""Agents in tests: recordings beside the tests, what is asserted about runs, models that are made up.

pytest is imported by `plugin` alone.
"""
