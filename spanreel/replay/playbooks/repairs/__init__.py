"""The smallest change that makes a playbook do what worked, as a proposal."""
