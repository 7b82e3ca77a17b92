"""What happened, what changed, do it again: the reading and re-running side. Mostly quiet; the loud modules say so."""
