"""A buffer that outlives the process: one SQLite file per process, adopted by the next one."""
