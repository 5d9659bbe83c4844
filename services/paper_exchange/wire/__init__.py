"""How the venue reads and writes: parameters, keys and signatures, refusals, decimal text, names.

Pure, and knows nothing of markets or accounts.
"""
