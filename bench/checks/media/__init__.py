"""Removable media: file system, file-set, DICOMDIR and the objects on it (STD-MED-…, and a statement's media clauses).

Rules of this folder:

* Whose fault it is: without other knowledge the whole medium is the product's; objects that another implementation
  wrote (:mod:`bench.checks.media.authors`) are judged as files of the file-set, and their content is a remark only.
* One fault is told by the rule that names it and by the clause of the element that is wrong (ruling F4); what follows
  from it is no fault of its own.
* ``view``: objects and records as the other checks want them; ``system``: partitions, FAT; ``names``; ``fileset``:
  files against records; ``structure``: offsets; ``keys``: elements of records; ``meta``: file meta information;
  ``profile``: SOP classes, transfer syntaxes; ``rows``: a statement's tables; ``agreement``: records against objects;
  ``habits``: defaults.
"""
