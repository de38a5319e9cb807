"""Structured reports: the content tree against PS3.3 C.17, the templates of PS3.16 and a statement's rows."""
