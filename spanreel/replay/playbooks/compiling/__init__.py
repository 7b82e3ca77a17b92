"""From finished runs to a playbook: what they have in common becomes states, what varies becomes variables."""
