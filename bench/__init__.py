"""Benchmarks: floors, workload and generator are fixed; a changed floor is a changed bar."""
