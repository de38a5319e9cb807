"""The rules of the messages: command sets, data sets announced, SOP classes, requests and responses (STD-DIMSE-…)."""
