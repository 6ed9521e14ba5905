"""Files from strangers, looked at before anything that could be led astray opens them.

Each function raises `ValueError` with a reason that fits after a colon; its caller names the file and the way out.
"""
