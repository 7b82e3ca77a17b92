"""Whether a playbook may be trusted: where it is kept, its evidence, its status, who decided what and why."""
