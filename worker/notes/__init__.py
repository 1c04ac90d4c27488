"""Notes: small things that processes tell each other through Redis. Losing them costs work, never a change.

`marks`: who has done work lately. `nudges`: which remotes are to be scanned soon. `numbers`: how far the check that
everything adds up has come.
"""
