"""Deferred tasks of a real Airflow: what a worker and a triggerer take for each."""
