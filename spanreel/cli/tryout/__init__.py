"""What `spanreel try` runs: an example agent, and a model server that plays recorded answers to it."""
