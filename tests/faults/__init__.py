"""Whatever breaks, and whenever: the job tells what the cluster then holds.

`catalogue` has the faults, `moments` when they come, `making` how, `scene` the namespace they meet, `truth` what must
hold afterwards.
"""
