"""The rules of the upper layer: association requests and answers, P-DATA, states, ends (STD-UL-…)."""
