"""A crowd of real HTTP buyers, and the lean generator of load that it and the benchmarks are made with."""
