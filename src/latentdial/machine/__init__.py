"""The machine a command runs on: its devices, number formats and the processes that share the work."""
