"""The bench judged: traffic and media with exactly one seeded defect, and what the judge must say of it.

``python -m tests.mutants`` (``tox -e mutants``) takes conversations and media of the reference products from runs,
and those of the laboratory for services that a product does not have yet, makes one defect at a time, and has the
capture or the image judged.  Each mutant declares beforehand which clauses and rules it turns to FAIL; anything else
is a miss or a bystander.  No check is ever touched.  What is counted, and what it says today: ``docs/mutants.md``.
"""
