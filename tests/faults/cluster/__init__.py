"""Several bridges of one cluster behind HAProxy: each component is killed, paused, cut off or stopped while clients move."""
