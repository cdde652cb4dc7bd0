"""Rules 7 and 8: how the holder judges members and decides the next round; ranks."""
