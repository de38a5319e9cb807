"""Objects against PS3.3: which attributes their modules demand, and what the attributes mean together (``STD-IOD``).

Tables are data (``modules.json``: attributes and types; ``conditions.yaml``: conditions; ``values.yaml``:
terms), rules that need thought are code, one idea a file.
"""
