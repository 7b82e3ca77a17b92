"""Which playbook a task is given to, or the agent; and what an agent is told of those that fit."""
