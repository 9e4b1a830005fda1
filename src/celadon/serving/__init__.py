"""The model server that one replica runs: an ONNX model behind two REST protocols, in a process of its own.

Nobody imports this room; it is started as ``python -m celadon.serving``. It knows nothing of releases: it answers requests, says
when it is ready and finishes what it accepted when it is told to end.
"""
