"""Rules 7 and 8: the holder judges agents, decides the next round and reports; and the ranks."""
