"""The panel of outside judges: tools that nobody here wrote, asked about the same objects, and compared with the bench.

Start with :func:`bench.panel.ask.ask`.  A judge that is not installed is left out and named.
"""
