"""The benchmarks: every figure that LiveDrop promises, measured in one run on one machine."""
