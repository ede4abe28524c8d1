"""Configurations: composed from `conf/`, checked against a schema, turned into objects."""
