"""Other processes that share the work of this one: its threads would take turns at Python's lock.

`pool.py` is the side of the process that starts the others, `worker.py` that of the others.
"""
