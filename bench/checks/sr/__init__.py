"""Structured reports: the content tree against PS3.3 C.17, C.18 and the templates of PS3.16 (``STD-SR``), and against the rows
of a statement (clauses of kind ``content``)."""
