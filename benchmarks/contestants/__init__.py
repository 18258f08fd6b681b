"""What benchmarks/speed.py lets compete: each module measures, in processes of its own, and writes its part of the page."""
