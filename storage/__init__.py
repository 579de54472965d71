"""What outlives the process: one port, an embedded and a server adapter for each."""
