"""Playbooks as text: files, their lines and what is wrong in them; and what names a playbook."""
