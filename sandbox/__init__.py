"""A whole Airflow and the Kognitos emulator on this machine: for the demo, for trying DAGs, for end-to-end tests."""
