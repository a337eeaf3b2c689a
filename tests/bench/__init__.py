"""`make bench`: throughput, CPU and latency of the bridge, beside the same parts joined the way their tutorials do."""
