"""How bytes of a stream are cut into messages."""
