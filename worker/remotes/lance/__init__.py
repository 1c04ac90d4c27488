"""Lance: lead lists of one tenant. Names, and members that are written as a whole array."""
