"""Studies of Fitted on the embedded DiT: its variants, how far a fit carries over, single branches, other grids."""
