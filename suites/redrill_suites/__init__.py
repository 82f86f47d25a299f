"""The compliance suites: one module a promise, each a set of assertions over the record of a drill."""
