"""Playbooks: what worked, as explicit states with variables, guards and approvals."""
