"""One file per wire protocol; none knows another."""
