"""Real servers for tests and for trying out: found on PATH, else unpacked from Debian's packages.

Everything runs as a normal user in folders of its own, on ports that are free; no service of the
machine is installed, started or changed.
"""
