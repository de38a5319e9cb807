"""The bench judged: traffic with exactly one seeded defect, and what the judge must say of it.

``python -m tests.mutants`` (``tox -e mutants``) takes the conversations of the reference modality from a run, and those
of the laboratory for services that the modality does not have yet, makes one defect at a time, and has the capture
judged.  Each mutant declares beforehand which clauses and rules it turns to FAIL; anything else is a miss or a
bystander.  No check is ever touched.
"""
