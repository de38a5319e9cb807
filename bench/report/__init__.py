"""Reports of a run folder: for people (HTML), for build servers (JUnit), for programs (JSON)."""
