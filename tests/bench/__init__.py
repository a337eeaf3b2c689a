"""`make bench`: throughput, CPU and latency of the bridge, compared with a stack built as in its tutorials."""
